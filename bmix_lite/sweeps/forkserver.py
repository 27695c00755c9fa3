"""Kernels that are forked from a process which has imported everything: a run starts in no time.

A server belongs to the process that started it and ends with it, and its kernels with both. Where
forking is not safe, or a notebook wants another kernel, kernels start as they always do.
"""

import ast
import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from importlib.util import find_spec

from bmix_lite.base.ipynb import read_cells

FORKS = "bmix_lite.sweeps.forks"
LAUNCHER = ["-m", "ipykernel_launcher"]
# two libraries start threads when they are imported, and one prints, unless they are told not to
CALM = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PYDEVD_DISABLE_FILE_VALIDATION": "1",
}
BEGUN = 120  # seconds that a server may take for its imports on a machine under load


class ForkServer:
    """A process that forks kernels; `start` is safe from several threads.

    modules: what it imports first; env: its environment, with all that must be set before imports
    """

    def __init__(self, modules, env):
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", FORKS, str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()],
                env=env | CALM,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def start(self, command, env, cwd):
        """A ForkedKernel for the command of a kernel, or None where it cannot be forked."""
        is_ours = os.path.realpath(command[0]) == os.path.realpath(sys.executable)
        if not is_ours or command[1:3] != LAUNCHER:
            return None
        request = {"arguments": command[3:], "env": env, "cwd": cwd}
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self._control, [json.dumps(request).encode()], [theirs.fileno()])
            except OSError:  # the server has ended, or the environment is too long for it
                ours.close()
                return None
        kernel = ForkedKernel(ours)
        if kernel.pid is None:
            ours.close()  # a server that is late finds nobody, and ends what it forked
            return None
        return kernel

    def retire(self):
        """Fork nothing more, and end with the last kernel that still runs."""
        with suppress(OSError):  # it has ended
            self._control.send(b"null")

    def close(self):
        """End the server, and with it every kernel that still runs."""
        self._control.close()
        self._process.wait()


class ForkedKernel:
    """As much of a subprocess.Popen as Jupyter asks of a kernel's process."""

    stdin = stdout = stderr = None

    def __init__(self, link):
        self._link = link  # says the pid first, and the exit code at the end
        self.returncode = None
        link.settimeout(BEGUN)
        self.pid = self._receive()
        link.setblocking(False)

    def poll(self):
        """The exit code, negative for a signal; None while it runs."""
        if self.returncode is None:
            with suppress(BlockingIOError):
                code = self._receive()
                self._link.close()
                self.returncode = -signal.SIGKILL if code is None else code
        return self.returncode

    def wait(self, timeout=None):
        """The exit code once it has ended. Raises TimeoutExpired after `timeout` seconds."""
        ends = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if ends is not None and time.monotonic() > ends:
                raise subprocess.TimeoutExpired("a forked kernel", timeout)
            time.sleep(0.01)
        return self.returncode

    def send_signal(self, number):
        """Nothing where it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def _receive(self):
        """The next number, or None where the server has ended or refused."""
        try:
            said = self._link.recv(64)
        except BlockingIOError:
            raise
        except OSError:
            return None
        return int(said) if said else None


def start_server(notebook, env):
    """A ForkServer for runs of this notebook, or None where kernels are better not forked.

    env: the variables that its kernels get besides those of this process
    """
    if sys.platform != "linux":  # macOS's frameworks do not survive a fork
        return None
    return ForkServer(list_imports(notebook), os.environ | env)


def list_imports(notebook):
    """Modules of installed packages that the notebook's cells import at their top level."""
    modules = []
    for kind, source, _ in read_cells(notebook):
        if kind != "code":
            continue
        with suppress(SyntaxError):  # a cell with magics
            for statement in ast.parse(source).body:
                modules += _name_modules(statement)
    return [name for name in dict.fromkeys(modules) if _is_installed(name.split(".")[0])]


def _name_modules(statement):
    if isinstance(statement, ast.Import):
        return [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom) and not statement.level:
        return [statement.module]
    return []


def _is_installed(package):
    """True for the kit and what lies among the installed packages: a file beside may change."""
    if package == "bmix_lite" or package in sys.stdlib_module_names:
        return True
    spec = find_spec(package)
    return spec is not None and "site-packages" in str(spec.origin)
