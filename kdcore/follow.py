"""A process that follows: it takes its part of every step of the trainings that another one leads.

    python -m kdcore.follow --rank 1 --size 2 --meeting file:///... --device cpu --threads 1

It is started by the leader, or by torchrun through `python -m kdcore`. It tells nothing and writes
nothing.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Callable

from kdcore.computing import Runtime
from kdcore.crew import READY, join, leave, next_task
from kdcore.ranks import Ranks
from kdcore.runtime import prepare
from kdcore.stage import accompany


def main() -> int:
    """Follow until the leader has no more for this process, or is gone."""
    parser = argparse.ArgumentParser(prog="python -m kdcore.follow")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--meeting", required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    threading.Thread(target=_end_with_leader, daemon=True).start()
    ranks = Ranks(arguments.rank, arguments.size)
    runtime = Runtime(device=arguments.device, processes=arguments.size)
    follow(ranks, runtime, arguments.threads, arguments.meeting, ready=_say_ready)
    return 0


def follow(
    ranks: Ranks,
    runtime: Runtime,
    threads: int,
    meeting: str = "env://",
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Take part in every training, until the leader says that there is no other."""
    # Whoever asks the run to stop asks the leader.
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    device = prepare(runtime, threads)
    ready()
    join(ranks, device, meeting)
    while (task := next_task(ranks)) is not None:
        accompany(task, device, ranks)
    leave()


def _say_ready() -> None:
    sys.stdout.buffer.write(READY)
    sys.stdout.buffer.flush()


def _end_with_leader() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
