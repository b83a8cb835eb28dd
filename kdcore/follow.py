"""A process that follows: it takes its part of every step of the trainings that another one leads.

    python -m kdcore.follow MEETING --rank 1 --size 2 --device cpu --threads 1

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
from pathlib import Path

import torch

from kdcore.computing import Runtime
from kdcore.crew import READY, Orders, join, leave, touch
from kdcore.ranks import Ranks
from kdcore.runtime import prepare
from kdcore.stage import accompany


def main() -> int:
    """Follow until the leader has no more for this process, or is gone."""
    # What a library prints must not stand before the word that the leader waits for.
    saying = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    threading.Thread(target=_end_with_leader, daemon=True).start()
    parser = argparse.ArgumentParser(prog="python -m kdcore.follow")
    parser.add_argument("meeting", type=Path)
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--device", required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    follow(
        Ranks(arguments.rank, arguments.size),
        Runtime(device=arguments.device, processes=arguments.size),
        arguments.threads,
        arguments.meeting,
        ready=lambda: os.write(saying, READY),
    )
    return 0


def follow(
    ranks: Ranks,
    runtime: Runtime,
    threads: int = 1,
    meeting: Path | None = None,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Take part in every training, until the leader says that there is no other.

    Raises:
        CrewError: the leader is gone, or does not come to the meeting.
    """
    # A Ctrl-C at the terminal is the leader's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    device = prepare(runtime, threads)
    touch(ranks, device)
    ready()
    join(ranks, device, meeting)
    orders = Orders(ranks)
    while (task := orders.next()) is not None:
        torch.set_num_threads(task.threads)
        accompany(task, device, ranks)
        del task  # before the next one is read
    leave()


def _end_with_leader() -> None:
    os.read(sys.stdin.fileno(), 1)
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
