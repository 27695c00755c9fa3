"""The process behind a ForkServer: imports once, then forks a kernel for each request.

    python -m bmix_lite.sweeps.forks FILE_NUMBER MODULE...

FILE_NUMBER is a socket. A request is JSON with another socket beside it, on which the kernel's pid
is answered at once and its exit code at the end; "null" asks to end after the last kernel. When
the socket closes, all kernels are killed: who started them is gone.
"""

import gc
import json
import os
import selectors
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path

ALWAYS = (  # what a kernel needs, some of it only once it runs
    "ipykernel.kernelapp",
    "ipykernel.ipkernel",
    "ipykernel.debugger",
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "comm",
)
PR_SET_PDEATHSIG = 1  # of linux/prctl.h
LARGEST = 1 << 20  # bytes of a request: the environment, mostly


class Forks:
    """The kernels that were forked, and who is to be told of their ends."""

    def __init__(self, control):
        self.control = control
        self.links = {}  # {pid: socket on which its exit code is awaited}
        self.is_retired = False
        self._wakes, self._woken = socket.socketpair()
        self._woken.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._woken.fileno(), warn_on_full_buffer=False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(control, selectors.EVENT_READ)
        self._selector.register(self._wakes, selectors.EVENT_READ)

    def serve(self):
        """Until the other side is gone, or has retired us and no kernel is left."""
        while self.links or not self.is_retired:
            ready = {key.fileobj for key, _ in self._selector.select()}
            if self._wakes in ready:
                self._wakes.recv(4096)
                self._reap()
            if self.control in ready and not self._answer():
                break
        for pid in self.links:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)

    def _answer(self):
        """Do what is asked; False once nobody can ask any more."""
        said, files, _, _ = socket.recv_fds(self.control, LARGEST, 1)
        if not said:
            return False
        request = json.loads(said)
        if request is None:
            self.is_retired = True
            return True
        link = socket.socket(fileno=files[0])
        if not _is_single():
            link.close()  # refused: another thread may hold a lock, and no fork would release it
            return True
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            _die_with(parent)
            self._forget(link)
            _become_kernel(request, parent)
        self.links[pid] = link
        try:
            link.send(b"%d" % pid)
        except OSError:  # who asked has waited long enough, and starts a kernel of another kind
            os.kill(pid, signal.SIGKILL)
        return True

    def _forget(self, link):
        """Close in a kernel what is the server's: who holds an end keeps the other side waiting."""
        signal.set_wakeup_fd(-1)
        self._selector.close()
        for end in (self.control, self._wakes, self._woken, link, *self.links.values()):
            end.close()

    def _reap(self):
        """Tell the exit code of each kernel that has ended."""
        while self.links:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self.links.pop(pid) as link, suppress(OSError):  # nobody may listen any more
                link.send(b"%d" % os.waitstatus_to_exitcode(status))


def _is_single():
    return len(os.listdir("/proc/self/task")) == 1


def _die_with(parent):
    """Let the system kill this process when its parent ends: the kernel's own watch begins late."""
    import ctypes

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def _become_kernel(request, parent):
    """What `python -m ipykernel_launcher` does after its imports. Never returns."""
    code = 1
    try:
        _as_if_new(request, parent)
        from ipykernel.kernelapp import launch_new_instance

        sys.argv = ["ipykernel_launcher", *request["arguments"]]
        launch_new_instance()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        os._exit(code)


def _as_if_new(request, parent):
    """What a new process has and a fork has not: a session, signals, environment, randomness."""
    os.environ.clear()
    os.environ.update(request["env"] | {"JPY_PARENT_PID": str(parent)})
    os.setsid()
    os.chdir(request["cwd"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "numpy" not in sys.modules:
        return
    sys.modules["numpy"].random.seed()  # Python's own generator does so by itself
    from threadpoolctl import threadpool_limits

    threads = os.environ.get("OPENBLAS_NUM_THREADS") or os.cpu_count()
    threadpool_limits(int(threads), user_api="blas")


def main(number, *modules):
    if sys.path[0] in ("", str(Path.cwd())):  # as the launcher does: a file here hides no package
        del sys.path[0]
    for name in (*ALWAYS, *modules):
        with suppress(Exception):  # the cell that imports it will tell
            __import__(name)
    gc.collect()
    gc.freeze()  # a collection in a kernel would copy every page that it looks at
    Forks(socket.socket(fileno=int(number))).serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
