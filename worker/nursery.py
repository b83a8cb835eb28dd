"""The nursery: a process that has the engine loaded, and forks the trainers of a worker from it.

    python -m worker.nursery --channel-fd 5 --parent 4711

Over the channel comes a request for each trainer: its folder, and the descriptors of its order, its
events and its log. The answer is its process id. A trainer is handed over to the worker: the
process between the two ends at once, and the system gives the orphan to the worker, which asked
for orphans. So the worker waits for it, kills it and outlives it as if it had started it itself,
and a nursery that dies takes nobody along.
"""

import argparse
import contextlib
import gc
import json
import os
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

from worker import trainer
from worker.lifeline import die_with_parent

READY = b"ready"
UNFIT = 70
MAX_REQUEST_BYTES = 1 << 16


def main(
    rehearse: Callable[[], None] = trainer.rehearse,
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
    # For the trainers, which are born with this mask: a request to stop that comes before they can
    # hear it must wait, and not kill them. The nursery itself is only ever killed.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with socket.socket(fileno=arguments.channel_fd) as channel:
        rehearse()
        if (threads := _threads()) != 1:
            sys.stderr.write(f"nursery: {threads} threads run here; only one could be forked\n")
            return UNFIT
        # A collection in a trainer would write to, and so copy, every page with an object on it.
        gc.collect()
        gc.freeze()
        channel.send(READY)
        events = serve(channel)
    return 0 if events is None else train(arguments.parent, events)


def serve(channel: socket.socket) -> int | None:
    """Fork a trainer for each request, and tell its process id.

    Returns in every trainer, with the descriptor of its events, and with None in the nursery once
    the worker is gone.
    """
    while True:
        request, descriptors, _, _ = socket.recv_fds(channel, MAX_REQUEST_BYTES, 3)
        if not request:
            return None
        order, events, log = descriptors
        pid = _fork_orphan()
        if pid is None:
            os.chdir(json.loads(request)["workdir"])
            os.dup2(order, sys.stdin.fileno())
            for stream in (sys.stdout, sys.stderr):
                os.dup2(log, stream.fileno())
            os.close(order)
            os.close(log)
            return events
        for descriptor in descriptors:
            os.close(descriptor)
        channel.send(str(pid).encode())


def _fork_orphan() -> int | None:
    """Fork a process without a parent; return its id, or None in the process itself.

    It leads a process group in a session of its own before its id is known to anybody.

    Raises:
        OSError: the system has no room for it.
    """
    reading, writing = os.pipe()
    between = os.fork()
    if between == 0:
        with contextlib.suppress(OSError):
            os.setsid()
            pid = os.fork()
            if pid == 0:
                os.close(reading)
                os.close(writing)
                return None
            os.setpgid(pid, pid)
            os.write(writing, str(pid).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        told = pipe.read()
    os.waitpid(between, 0)
    if not told:
        raise OSError("the system forked no trainer")
    return int(told)


def _threads() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


if __name__ == "__main__":
    sys.exit(main())
