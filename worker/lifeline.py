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
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        # It was gone before the lifeline was tied.
        os._exit(1)
