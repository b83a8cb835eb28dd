"""Runs of recipes in processes that are killed at a step; started by `test_killed.py`.

Each line of the input is an order: a recipe, its folder, and after how many steps the run is
killed, if at all. A run is forked, so that torch is loaded but once, and is killed from outside,
while it goes on: between two steps, within one, or while it writes.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from kdcore import Recipe, distill
from worker.trainer import rehearse


def run(order: dict[str, Any], tell: int) -> None:
    with (
        open(f"{order['out']}.events", "w") as events,  # noqa: PTH123  # a name beside the folder
        os.fdopen(tell, "w") as steps,
    ):
        for event in distill(
            Recipe.model_validate(order["recipe"]), Path(order["out"]), report_every=0
        ):
            events.write(event.model_dump_json() + "\n")
            events.flush()
            if event.type == "stage.progress":
                steps.write(".")
                steps.flush()


def main() -> None:
    torch.set_num_threads(1)
    rehearse()
    for line in sys.stdin:
        order = json.loads(line)
        told, tell = os.pipe()
        if (child := os.fork()) == 0:
            os.close(told)
            run(order, tell)
            os._exit(0)
        os.close(tell)
        seen = 0
        while os.read(told, 1):
            seen += 1
            if seen == order["steps"]:
                os.kill(child, signal.SIGKILL)
                break
        os.close(told)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
