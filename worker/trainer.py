"""The trainer: the child process of one attempt, and the only file here that leads to torch.

    python -m worker.trainer --events-fd 5 --parent 4711   < order.json

It knows no database, no broker and no secret: it reads its order from stdin and writes events to a
pipe, one JSON object a line. SIGTERM asks it to stop: it finishes its step, saves, exits with 75.
"""

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO, cast

from worker.lifeline import die_with_parent

FINISHED = 0
REFUSED = 65
STOPPED = 75
OUT_OF_MEMORY = "out_of_memory"
_SMALLER = "use a smaller per_device_train_batch_size or a smaller network"


def main() -> int:
    """Run the ordered recipe; return 0 when finished, 75 when stopped, 65 when it cannot go on."""
    parser = argparse.ArgumentParser(prog="python -m worker.trainer")
    parser.add_argument("--events-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    # Before anything slow is imported, so that neither signal can come too early.
    die_with_parent(arguments.parent)
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signum, _frame: stop.set())
    # A Ctrl-C at the terminal is the worker's business, which then asks by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = json.load(sys.stdin)
    # Buffered, since a raw write to a full pipe is cut short by a signal, and a line with it.
    with os.fdopen(arguments.events_fd, "wb") as pipe:
        return run(order, pipe, stop)


def run(order: dict[str, Any], pipe: BinaryIO, stop: threading.Event) -> int:
    """Distil, and tell each event on the pipe, until the end or until `stop` is set."""
    from kdcore import distill
    from kdcore.errors import KdcoreError
    from kdcore.events import Event, RunFailed, RunStopped
    from kdcore.recipe import Recipe
    from kdcore.teacher_cache.shelf import Shelf

    def tell(event: Event) -> None:
        pipe.write(event.model_dump_json().encode() + b"\n")
        pipe.flush()

    stage: str | None = None
    step: int | None = None
    try:
        recipe = Recipe.model_validate(order["recipe"])
        shelf = None
        if folder := order.get("teacher_caches"):
            shelf = Shelf(Path(folder), order["teacher_cache_bytes"])
        story = distill(recipe, Path(order["workdir"]), inputs=Path(order["inputs"]), shelf=shelf)
        # Closing is what makes the loop save a checkpoint.
        with closing(cast("Generator[Event]", story)):
            for event in story:
                tell(event)
                if event.type == "stage.progress":
                    stage, step = event.stage, event.step
                if stop.is_set() and event.type != "run.finished":
                    break
            else:
                return FINISHED
    except KdcoreError as error:
        tell(RunFailed(code=error.code, message=str(error), hint=error.hint))
        return REFUSED
    except (MemoryError, RuntimeError) as error:
        if not _is_out_of_memory(error):
            raise
        message = f"the run needs more memory than there is: {str(error) or 'none was left'}"
        tell(RunFailed(code=OUT_OF_MEMORY, message=message, hint=_SMALLER))
        return REFUSED
    tell(RunStopped(reason="asked to stop", stage=stage, step=step))
    return STOPPED


def _is_out_of_memory(error: Exception) -> bool:
    from kdcore.lazy import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # For the memory of a CPU, torch has no class of its own.
    return "DefaultCPUAllocator" in str(error)


if __name__ == "__main__":
    sys.exit(main())
