"""A child that cannot outlive its worker."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Have the system kill this process when the thread that started it is gone (on Linux).

    Elsewhere the next event that the child writes finds no reader, and ends it too.
    """
    if sys.platform == "linux":
        _ask_for(signal.SIGKILL)
    if os.getppid() != parent:
        # It was gone before the lifeline was tied.
        os._exit(1)


def outlive_parent() -> None:
    """Undo that; whoever is the parent next can be tied to anew."""
    if sys.platform == "linux":
        _ask_for(0)


def _ask_for(signum: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signum, 0, 0, 0)
