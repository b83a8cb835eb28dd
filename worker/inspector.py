"""The inspector: the child process of one inspection, which leads to torch as a trainer does.

    python -m worker.inspector --events-fd 5 --parent 4711   < order.json

It knows no database and no broker: it reads its order from stdin, and writes one JSON line to a
pipe, with what it found or why there is nothing to find. It computes on the CPU alone, within the
memory that the order allows.
"""

import argparse
import json
import os
import re
import resource
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from worker.blinkers import put_on_blinkers
from worker.lifeline import die_with_parent

if TYPE_CHECKING:
    from pydantic import BaseModel

    from kdcore.data_report import DataReport

MOST_BYTES: Final = 4 << 20
"""Of an answer; a data report that is larger comes without its thumbnails."""
_PLACE: Final = re.compile(r"uploads/[0-9a-f]{64}/")
OUT_OF_MEMORY: Final = "out_of_memory"


def main() -> int:
    """Answer one question; return 0 where an answer was given."""
    parser = argparse.ArgumentParser(prog="python -m worker.inspector")
    parser.add_argument("--events-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    arguments = parser.parse_args()
    # What is in its memory, maybe people's images, is for no file.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    # A Ctrl-C at the terminal is the worker's business.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(arguments.parent)
    put_on_blinkers()
    order = json.loads(sys.stdin.read())
    # GPUs belong to the trainers.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
    _limit_memory(order["memory_bytes"])
    told = _with_own_names(json.dumps(answer(order)))
    with os.fdopen(arguments.events_fd, "wb") as pipe:
        pipe.write(told.encode() + b"\n")
    return 0


def answer(order: dict[str, Any]) -> dict[str, Any]:
    """Return the `result`, or the `failure` with its code, message and hint."""
    from kdcore.errors import KdcoreError

    try:
        return {"result": _found(order["kind"], order["asked"], Path(order["inputs"]))}
    except KdcoreError as error:
        return _failure(error.code, str(error), error.hint)
    except (MemoryError, RuntimeError) as error:
        # For the memory of a CPU, torch has no class of its own.
        if not isinstance(error, MemoryError) and "DefaultCPUAllocator" not in str(error):
            raise
        most = order["memory_bytes"]
        return _failure(
            OUT_OF_MEMORY,
            f"looking at it needs more memory than the {most:,} bytes that it may have",
            "bring less, or have STILLHOUSE_INSPECTION_MEMORY_BYTES raised",
        )


def _found(kind: str, asked: dict[str, Any], inputs: Path) -> Any:
    from kdcore import Recipe, describe, describe_table, layers_in, look
    from kdcore.looked import Looked

    found: BaseModel
    match kind:
        case "dataset_report" if "table" in asked:
            found = describe_table(asked["table"], inputs)
        case "dataset_report":
            looked = Looked.model_validate(asked)
            found = describe(looked.data, inputs, task=looked.task.name)
            if len(found.model_dump_json()) > MOST_BYTES:
                found = _without_thumbnails(found)
        case "model_layers":
            found = layers_in(inputs / asked["path"], asked["name"])
        case _:
            found = look(Recipe.model_validate(asked), inputs)
    return json.loads(found.model_dump_json())


def _with_own_names(told: str) -> str:
    """Call uploaded files by their names; where they lie here is nobody's business."""
    return _PLACE.sub("", told)


def _without_thumbnails(report: "DataReport") -> "DataReport":
    classes = [one.model_copy(update={"thumbnails": []}) for one in report.classes]
    return report.model_copy(update={"classes": classes})


def _failure(code: str, message: str, hint: str) -> dict[str, Any]:
    return {"failure": {"code": code, "message": message, "hint": hint}}


def _limit_memory(most: int) -> None:
    """Let this process ask for so much; elsewhere than on Linux the system has no such limit."""
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_DATA, (most, most))


if __name__ == "__main__":
    sys.exit(main())
