"""Keeping what this process was started with from the trainers that run as the same user."""

import ctypes
import logging
import sys
from typing import Final

_PR_SET_DUMPABLE: Final = 4

log = logging.getLogger(__name__)


def hide_environment() -> None:
    """Have no other process of this user read this one's environment or memory (on Linux).

    Both hold the passwords of the database and the broker, and `/proc/<pid>/environ` is there for
    whoever runs as the same user. Root may still read it; a program that is executed from here
    is as any other again.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0):
        log.warning("this system does not hide the environment of a process")
