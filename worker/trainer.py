"""The trainer: the child process of one attempt, and the only file here that leads to torch.

    python -m worker.trainer --events-fd 5 --parent 4711   < order.json

It knows no database, no broker and no secret: it reads its order from stdin and writes events to a
pipe, one JSON object a line. SIGTERM asks it to stop: it finishes its step, saves, exits with 75.
"""

import argparse
import contextlib
import json
import os
import resource
import signal
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from worker.blinkers import put_on_blinkers
from worker.lifeline import die_with_parent

if TYPE_CHECKING:
    from kdcore.events import Event

FINISHED = 0
REFUSED = 65
STOPPED = 75
OUT_OF_MEMORY = "out_of_memory"
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")
_REHEARSAL = {
    "teacher": {"model": {"name": "plain_cnn", "stages": [[2], [2]], "hidden": [2]}},
    "student": {"model": {"name": "mlp", "hidden": [2]}},
    "data": "digits",
    "baseline": False,
    "training": {"max_steps": 1, "per_device_train_batch_size": 2},
    "export": ["safetensors"],
    "runtime": {"device": "cpu"},
}
"""A run whose networks and steps are as few and small as they come."""
_SMALLER = "use a smaller per_device_train_batch_size or a smaller network"


def main() -> int:
    """Run the ordered recipe; return 0 when finished, 75 when stopped, 65 when it cannot go on."""
    parser = argparse.ArgumentParser(prog="python -m worker.trainer")
    parser.add_argument("--events-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    put_on_blinkers()
    return train(arguments.parent, arguments.events_fd)


def train(parent: int, events_fd: int) -> int:
    """Carry out the order on stdin as a child of `parent`; return the exit code."""
    # What is in its memory, gigabytes and maybe people's images, is for no file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # Before anything slow is imported, so that neither signal can come too early.
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _signum, _frame: stop.set())
    # A Ctrl-C at the terminal is the worker's business, which then asks by SIGTERM.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    order = sys.stdin.read()
    if not order:
        return STOPPED  # nobody wants this trainer any more
    # Only now: one that was forked in the nursery has its parent by the time it has its order.
    die_with_parent(parent)
    # Buffered, since a raw write to a full pipe is cut short by a signal, and a line with it.
    with os.fdopen(events_fd, "wb") as pipe:
        return run(json.loads(order), pipe, stop)


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
        story = distill(
            recipe,
            Path(order["workdir"]),
            inputs=Path(order["inputs"]),
            shelf=shelf,
            max_threads=order["max_threads"],
        )
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


def rehearse() -> None:
    """Do once, in a folder that is thrown away, all that comes before the end of a first step.

    Half of the time to a first step is spent on what torch imports and sets up when it is first
    used. No GPU is touched, since its driver does not survive a fork.
    """
    from kdcore import distill
    from kdcore.lazy import torch
    from kdcore.recipe import Recipe

    torch.set_num_threads(1)
    has_gpu = _has_gpu()
    with tempfile.TemporaryDirectory() as folder:
        story = distill(Recipe.model_validate(_REHEARSAL), Path(folder))
        with closing(cast("Generator[Event]", story)):
            for event in story:
                if event.type == "stage.progress" and event.role == "student":
                    break
                # The backward pass and the optimiser look for GPUs, even to compute without.
                if has_gpu and event.type == "stage.started":
                    break


def probe_gpu() -> None:
    """Compute on the GPU, if there may be one, in a process that is forked for it.

    Raises:
        RuntimeError: that does not work, so no trainer may be forked here.
    """
    from kdcore.lazy import torch

    if not _has_gpu():
        return
    pid = os.fork()
    if pid == 0:
        computed = False
        with contextlib.suppress(Exception):
            computed = bool(torch.ones(1, device="cuda").sum() == 1)
        os._exit(not computed)
    if os.waitpid(pid, 0)[1]:
        raise RuntimeError("a process forked from this one cannot use the GPU")


def _has_gpu() -> bool:
    """Tell whether torch may find a GPU, without asking it."""
    from kdcore.lazy import torch

    built_for_one = torch.version.cuda is not None or torch.version.hip is not None
    return built_for_one and any(Path(file).exists() for file in _GPU_FILES)


def _is_out_of_memory(error: Exception) -> bool:
    from kdcore.lazy import torch

    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # For the memory of a CPU, torch has no class of its own.
    return "DefaultCPUAllocator" in str(error)


if __name__ == "__main__":
    sys.exit(main())
