"""What happens between fork and a child's program: drop rights, die with the parent, then exec.

Run by path, as a script; `command` makes the command line. It imports the standard library alone. A
small program in between, rather than code run after a fork, is safe in a process that has threads.

    python -I -S child.py PLAN PROGRAM [ARGUMENT ...]

PLAN is a JSON object; every key is optional:

    account     [uid, gid]: root becomes this account, with no other groups
    namespace   uid: root enters a user namespace in which its own files belong to this uid
    parent      pid: PROGRAM gets SIGINT when the thread of that process that started it ends
    folder      the working folder of PROGRAM, entered with its rights

The exit status is PROGRAM's own, or CANNOT_START with one line on stderr.
"""

import ctypes
import json
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

__all__ = ["CANNOT_START", "command"]

CANNOT_START = 97
"""Exit status when PROGRAM was never started. PostgreSQL's programs use 0, 1 and 2."""

PARENT_DEATH = signal.SIGINT  # PostgreSQL's fast shutdown, Ctrl-C for everything else

_PR_SET_PDEATHSIG = 1  # <linux/prctl.h>
_CLONE_NEWUSER = 0x10000000  # <linux/sched.h>


def command(plan: Mapping[str, object], program: Sequence[str]) -> list[str]:
    """The command line that runs `program` (an absolute path, then its arguments) after `plan`."""
    return [sys.executable, "-I", "-S", str(Path(__file__).absolute()), json.dumps(dict(plan)), *program]


def enter_namespace(uid: int) -> None:
    """Enter a user namespace where this process, and all that root owns, has the id `uid`.

    PostgreSQL refuses to run as uid 0. In the namespace it is not 0, holds no capability outside, and
    reaches what root reaches as an owner: a checkout in a folder of mode 0700 included.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWUSER) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), "unshare")
    # Without "deny" the kernel lets nobody map a group, see user_namespaces(7).
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} 0 1"), ("gid_map", f"{uid} 0 1")):
        Path("/proc/self", name).write_text(text, encoding="ascii")


def become(uid: int, gid: int) -> None:
    """Give up root for good: groups first, because afterwards it is not allowed."""
    os.setgroups([])
    os.setgid(gid)
    os.setuid(uid)


def die_with(parent: int) -> None:
    """Ask the kernel for SIGINT when the thread of the parent that started this process ends."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, PARENT_DEATH)
    # The parent may have ended before the request was made; then nobody would send the signal.
    if os.getppid() != parent:
        raise ProcessLookupError("the parent has ended")


def main(arguments: list[str]) -> int:
    plan = json.loads(arguments[0])
    try:
        if "namespace" in plan:
            enter_namespace(plan["namespace"])
        if "account" in plan:
            become(*plan["account"])
        # After the change of rights: the kernel forgets the request when credentials change.
        if "parent" in plan:
            die_with(plan["parent"])
        os.chdir(plan.get("folder", "/"))
        os.execv(arguments[1], arguments[1:])
    except OSError as error:
        print(f"cannot start {Path(arguments[1]).name}: {error}", file=sys.stderr)
    return CANNOT_START


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
