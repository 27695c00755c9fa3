"""How a command ends: one line on stderr and a code, never a traceback unless `--debug` asks."""

import contextlib
import errno
import os
import sys
import traceback

from bmix_lite.base.errors import BmixError
from bmix_lite.base.files import explain_full

DEBUG = "--debug"  # anywhere in a command
STOPPED = "stopped. What is complete is kept; the same command goes on from there."
USER = 2  # the code for what the user can fix; of wrong arguments, too
FAULT = 3  # the code for what is our fault
INTERRUPTED = 130  # as a shell says it of Ctrl-C
NO_READER = 141  # as a shell says it of a closed pipe
WORDS = {
    errno.EROFS: "the file system can only be read, choose another folder",
    errno.EACCES: "this user has no permission",
    errno.EPERM: "this user has no permission",
    errno.EMFILE: "too many open files for this shell: `ulimit -n 4096` first, or fewer --jobs",
    errno.ENFILE: "too many open files on this machine",
    errno.ENOENT: "there is no such file or folder",
    errno.EISDIR: "it is a folder, a file is needed",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.ENAMETOOLONG: "the name is too long for this file system",
    errno.ENOMEM: "no memory was left: fewer --jobs, or smaller images",
    errno.EIO: "the disk could not be read or written, it may be damaged",
    errno.ESTALE: "the network file system has lost it: try again",
}


def take_debug(arguments=None):
    """(the arguments without `--debug`, whether it was among them); by default of this process."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    return [word for word in arguments if word != DEBUG], DEBUG in arguments


def tell_ending(error, command, debug=False):
    """Print what ended a command as one line on stderr; returns the code to exit with.

    debug: print the traceback first. SystemExit is raised again: it is an ending of its own.
    """
    if isinstance(error, SystemExit):
        raise error
    if debug:
        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError):
        return _leave_quietly()
    words, code = explain(error)
    if isinstance(error, KeyboardInterrupt):
        print(f"\n{words}", file=sys.stderr)
    else:
        print(f"bmix_lite {command}: {words}", file=sys.stderr)
    return code


def explain(error):
    """(what ended a command in words, its code)."""
    if isinstance(error, KeyboardInterrupt):
        return STOPPED, INTERRUPTED
    if isinstance(error, BmixError):
        return str(error), USER
    if isinstance(error, MemoryError):
        return f"{WORDS[errno.ENOMEM]}{_detail(error)}", USER
    if isinstance(error, OSError):
        return explain_os_error(error), USER
    if isinstance(error, ImportError):
        return f"a package is missing or broken ({_one_line(error)}): pip install -e .", USER
    kind = type(error).__name__
    return f"{kind}: {_one_line(error)} (a fault of the kit: {DEBUG} shows where it arose)", FAULT


def explain_os_error(error):
    """An error of the system in words: the file, what was refused, and what to do."""
    path = str(error.filename or "")
    where = f"{path:.300}: " if path else ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        # our own writers have said it already, with the size
        words = error.strerror if " needed" in str(error.strerror) else explain_full(error, path)
        return f"{where}{words}"
    if error.errno in WORDS:
        return f"{where}{WORDS[error.errno]}"
    return f"{where}{error.strerror or _one_line(error)}"


def _leave_quietly():
    """Whoever read our output has closed it, such as `| head`: nothing more is written there."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return NO_READER


def _detail(error):
    return f" ({_one_line(error)})" if str(error) else ""


def _one_line(error):
    return " ".join(str(error).split())[:300]
