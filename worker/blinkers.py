"""What a child of the worker must not read: the files that hold the worker's passwords.

A file is open to every process of a user, and trainers run as the worker's. So a child gives up
the right to read them before it looks at anything that a user sent: by Landlock, which takes no
privilege and holds for whatever the child starts.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_PREFIX, _SUFFIX = "STILLHOUSE_", "_FILE"  # as jobs.setting_files has them, which loads too much
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_ASK_FOR_VERSION: Final = 1
_PATH_BENEATH: Final = 1
_READ_FILE: Final = 1 << 2
_REFER: Final = 1 << 13
"""To move a file to another folder, which Landlock forbids unless it is told not to."""
_FIRST_VERSION_WITH_REFER: Final = 2
_PR_SET_NO_NEW_PRIVS: Final = 38


def hidden_files() -> dict[str, str]:
    """Return the variables of this process that name files of settings."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PREFIX) and name.endswith(_SUFFIX) and value
    }


def can_hide() -> bool:
    """Return whether this system can keep a file from a process of the same user."""
    if sys.platform != "linux":
        return False
    version = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_FOR_VERSION)
    return version >= _FIRST_VERSION_WITH_REFER


def put_on_blinkers() -> None:
    """Give up the right to read these files, for good, and for every process started from here.

    Call it before there is a second thread. Where there are none, nothing is given up; where the
    system cannot hide any, the worker has warned of it.

    Raises:
        OSError: the system refuses.
    """
    hidden = {Path(value).resolve() for value in hidden_files().values()}
    if not hidden or not can_hide():
        return
    libc = _libc()
    rights = struct.pack("=Q", _READ_FILE | _REFER)
    ruleset = _checked(libc.syscall(_CREATE_RULESET, rights, ctypes.c_size_t(len(rights)), 0))
    try:
        for path in _others(Path("/"), hidden):
            _allow(libc, ruleset, path)
        _checked(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)


def _others(folder: Path, hidden: set[Path]) -> Iterator[Path]:
    """Yield what holds everything below a folder but the hidden files."""
    around = {parent for path in hidden for parent in path.parents}
    for entry in folder.iterdir():
        if entry in around:
            yield from _others(entry, hidden)
        # What a link leads to is there by its own name.
        elif entry not in hidden and not entry.is_symlink():
            yield entry


def _allow(libc: ctypes.CDLL, ruleset: int, path: Path) -> None:
    try:
        opened = os.open(path, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return  # gone, or not for us anyway
    try:
        rights = _READ_FILE | _REFER if path.is_dir() else _READ_FILE
        rule = struct.pack("=Qi", rights, opened)
        _checked(libc.syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0))
    finally:
        os.close(opened)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(answer: int) -> int:
    if answer < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return answer
