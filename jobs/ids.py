"""Ids of jobs and uploads: they sort by when they were made, and nobody guesses the next one.

And of processes: no other one has the same, now or later.
"""

import os
import re
import secrets
import socket
import threading
import time
import uuid

JOB_ID = re.compile(r"job_[0-9a-hjkmnp-tv-z]{26}")
DATASET_ID = re.compile(r"ds_[0-9a-hjkmnp-tv-z]{26}")
MODEL_ID = re.compile(r"mdl_[0-9a-hjkmnp-tv-z]{26}")
SWEEP_ID = re.compile(r"swp_[0-9a-hjkmnp-tv-z]{26}")
INSPECTION_ID = re.compile(r"ins_[0-9a-hjkmnp-tv-z]{26}")
WEBHOOK_ID = re.compile(r"whk_[0-9a-hjkmnp-tv-z]{26}")
DELIVERY_ID = re.compile(r"msg_[0-9a-hjkmnp-tv-z]{26}")
UPLOAD_ID = re.compile(r"upl_[0-9a-hjkmnp-tv-z]{26}")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_LENGTH = 26

_lock = threading.Lock()
_last = 0


def new_job_id() -> str:
    """Return the id of a new job."""
    return new_id("job")


def new_id(prefix: str) -> str:
    """Return `<prefix>_` and 26 characters of lower-case ULID; in a process, later sorts later."""
    global _last  # noqa: PLW0603  # the order of ids is a promise of the whole process
    with _lock:
        milliseconds = time.time_ns() // 1_000_000
        fresh = milliseconds << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        # Within a millisecond, or when the clock steps back, count on from the last one.
        _last = fresh if fresh >> _RANDOM_BITS > _last >> _RANDOM_BITS else _last + 1
        number = _last
    digits = [_ALPHABET[number >> 5 * place & 31] for place in reversed(range(_LENGTH))]
    return f"{prefix}_" + "".join(digits)


def new_process_id() -> str:
    """Return the machine's name, the process's number there, and some letters of chance."""
    return f"{this_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"


def this_machine() -> str:
    """Return this machine's name, as far as it stands in ids of processes."""
    return socket.gethostname()[:64]


def machine_of(process_id: str) -> str:
    """Return the name of the machine that a process runs on."""
    return process_id.rsplit("-", 2)[0]
