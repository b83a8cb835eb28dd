"""The nursery: a process that has the engine loaded, and forks the trainers of a worker from it.

    python -m worker.nursery --channel-fd 5 --parent 4711

Over the channel comes a request for each trainer: its folder, and the descriptors of its order, its
events and its log. The answer is its process id. A trainer is handed over to the worker: a process
between it and the nursery ends, and the system gives the orphan to the worker, which asks for
orphans at that moment. So the worker waits for it and kills it as if it had started it itself, and
a nursery that dies takes none along.
"""

import argparse
import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from worker import trainer
from worker.blinkers import put_on_blinkers
from worker.lifeline import die_with_parent, outlive_parent

READY = b"ready"
UNFIT = 70
MAX_REQUEST_BYTES = 1 << 16
PAUSE_SECONDS = 0.5
"""Before another trainer stands in line for one that was taken, or that died."""
_TAKEN, _DIED, _GONE = range(3)
_SHELL = "/bin/sh"


def main(
    rehearse: Callable[[], None] = trainer.rehearse,
    probe: Callable[[], None] = trainer.probe_gpu,
    train: Callable[[int, int], int] = trainer.train,
) -> int:
    """Rehearse, then serve until the worker is gone; in a forked trainer, train.

    Returns the exit code of whichever of the two processes this has become.
    """
    parser = argparse.ArgumentParser(prog="python -m worker.nursery")
    parser.add_argument("--channel-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    die_with_parent(arguments.parent)
    put_on_blinkers()
    # For the trainers, which are born with this mask: a request to stop that comes before they can
    # hear it must wait, and not kill them. The nursery itself is only ever killed.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=arguments.channel_fd) as channel:
        channel.set_inheritable(False)
        rehearse()
        probe()
        if reason := _unfit():
            sys.stderr.write(f"nursery: {reason}\n")
            return UNFIT
        # A collection in a trainer would write to, and so copy, every page with an object on it.
        gc.collect()
        gc.freeze()
        channel.send(READY)
        events = serve(channel, rehearse)
    return 0 if events is None else train(arguments.parent, events)


def serve(channel: socket.socket, rehearse: Callable[[], None]) -> int | None:
    """Have a trainer stand in line, and tell the process id of each one that was taken.

    It is forked in advance, since copying a large process takes a while; and it rehearses there,
    since each page that it writes to for the first time is copied then. Returns in every trainer,
    with the descriptor of its events, and with None in the nursery once the worker is gone.
    """
    nursery = os.getpid()
    while True:
        reading, writing = os.pipe()
        between = os.fork()
        if between == 0:
            os.close(reading)
            return _line_up(channel, rehearse, nursery, writing)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            pid = pipe.readline()
        # It ends when the trainer is taken. After that the trainer is the worker's child.
        end = os.waitstatus_to_exitcode(os.waitpid(between, 0)[1])
        if end == _GONE:
            return None
        if end == _TAKEN:
            channel.send(pid)
        # Not at once, unless another is asked for: the one that was taken has its first step to do.
        _is_asked_for(channel, PAUSE_SECONDS)


def _line_up(
    channel: socket.socket, rehearse: Callable[[], None], nursery: int, telling: int
) -> int:
    """Be the process between: fork a trainer, tell its id, and leave it when it is taken.

    Returns in the trainer alone, which leads a process group in a session of its own before its id
    is known to anybody.
    """
    with contextlib.suppress(OSError):
        os.setsid()
        die_with_parent(nursery)
        between = os.getpid()
        hearing, saying = os.pipe()
        pid = os.fork()
        if pid == 0:
            die_with_parent(between)
            os.close(telling)
            os.close(hearing)
            if not _is_asked_for(channel, 0):
                rehearse()
            return _wait_to_be_taken(channel, saying)
        os.setpgid(pid, pid)
        os.write(telling, f"{pid}\n".encode())
        # The end of a process of this size takes as long as a fork; a shell ends at once.
        os.dup2(hearing, sys.stdin.fileno())
        os.execv(_SHELL, ["sh", "-c", f"read -r end || end={_DIED}; exit $end"])  # noqa: S606
    os._exit(_DIED)


def _wait_to_be_taken(channel: socket.socket, saying: int) -> int:
    """Be the trainer: take a request, settle where it says, and return the events' descriptor."""
    request, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, 3)
    if not request:
        os.write(saying, f"{_GONE}\n".encode())
        os._exit(0)
    outlive_parent()
    os.write(saying, f"{_TAKEN}\n".encode())
    os.close(saying)
    order, events, log = descriptors
    os.chdir(json.loads(request)["workdir"])
    os.dup2(order, sys.stdin.fileno())
    for stream in (sys.stdout, sys.stderr):
        os.dup2(log, stream.fileno())
    os.close(order)
    os.close(log)
    return events


def _is_asked_for(channel: socket.socket, seconds: float) -> bool:
    """Wait for a request, or the worker's end, for so long; tell whether it came."""
    return bool(select.select([channel], [], [], seconds)[0])


def _unfit() -> str | None:
    """Return why nothing can be forked here, if so."""
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads != 1:
        return f"{threads} threads run here; only one would be there after a fork"
    return None if os.access(_SHELL, os.X_OK) else f"there is no {_SHELL}"


if __name__ == "__main__":
    sys.exit(main())
