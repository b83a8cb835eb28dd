"""Everything that the engine refuses or fails with.

KdcoreError
├── RecipeError            the recipe cannot be run as written
├── DataError              the data cannot be used
├── WeightsError           a weights file does not fit the network
├── ExtraMissingError      a library that the recipe needs is not installed
├── UnreachableError       weights that the recipe names cannot be fetched
├── NonFiniteLossError     the training diverged
├── CheckpointError        a checkpoint belongs to another run
├── LockError              versions or data are not those of the lock
├── ExportError            the exported file does not do what the network does
├── CrewError              a process that shared the steps of the run is gone
└── DiskFullError          no room for a checkpoint or an artifact
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

MOST_MISFITS: Final = 1_000
"""Tensors that are told of one file."""


class KdcoreError(Exception):
    """The run cannot go on; the message says what was found and what was expected."""

    code: ClassVar[str] = "engine_error"
    """Stable word for programs."""
    way_out: ClassVar[str] = "read the trainer's log"
    """What to do where nothing better is known."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        """Keep the message and the way out."""
        super().__init__(message)
        self.hint = hint or self.way_out


class RecipeError(KdcoreError):
    """The recipe cannot be run as written."""

    code = "recipe_invalid"
    way_out = "change the recipe and submit it again"

    def __init__(self, message: str, *, hint: str | None = None, pointer: str = "") -> None:
        """Keep the message, the way out, and where in the recipe it is: a JSON pointer."""
        super().__init__(message, hint=hint)
        self.pointer = pointer


class DataError(KdcoreError):
    """The data set cannot be used as it is."""

    code = "data_invalid"
    way_out = "repair the data and retry the job"


@dataclass(frozen=True, slots=True)
class Misfit:
    """One tensor that a file of weights has, or lacks, and a network expects otherwise."""

    name: str
    found: tuple[int, ...] | None
    """Its shape in the file; None where it is not there."""
    expected: tuple[int, ...] | None
    """Its shape in the network; None where that has no such tensor."""

    def __str__(self) -> str:
        """Return it as a sentence without its end."""
        if self.found is None:
            return f"{self.name} is missing"
        if self.expected is None:
            return f"{self.name} is not in the network"
        return f"{self.name} has shape {list(self.found)}, the network's has {list(self.expected)}"


class WeightsError(KdcoreError):
    """A weights file does not fit the network that it was named for."""

    code = "weights_mismatch"
    way_out = "name weights that were saved from exactly this model"

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        pointer: str = "",
        misfits: Sequence[Misfit] = (),
    ) -> None:
        """Keep the message, the way out, where in the recipe it is, and all that does not fit."""
        super().__init__(message, hint=hint)
        self.pointer = pointer
        self.misfits = tuple(misfits[:MOST_MISFITS])


class ExtraMissingError(KdcoreError):
    """A library that the recipe needs is not installed."""

    code = "extra_missing"
    way_out = "install the extra on the workers and retry the job"


class UnreachableError(KdcoreError):
    """Weights that the recipe names are published elsewhere, and cannot be fetched."""

    code = "weights_unreachable"
    way_out = "let the workers reach where they are published, or fill its cache, and retry the job"


class NonFiniteLossError(KdcoreError):
    """The loss became NaN or infinite."""

    code = "nan_loss"
    way_out = "lower training.learning_rate, or set training.max_grad_norm"


class CheckpointError(KdcoreError):
    """The working folder holds the checkpoints of another recipe or other data."""

    code = "checkpoint_mismatch"
    way_out = "start in an empty working folder, or retry from scratch"


class LockError(KdcoreError):
    """What the run is made with is not what its lock names."""

    code = "lock_differs"
    way_out = "make alike what differs, or leave the lock out"


class ExportError(KdcoreError):
    """An exported file does not compute what the network computes."""

    code = "export_failed"
    way_out = "leave this form out of `export`"


class CrewError(KdcoreError):
    """One of several processes that share the steps of a run is gone."""

    code = "process_lost"
    way_out = "read the trainer's log for what ended it; a retry goes on from the last checkpoint"


class DiskFullError(KdcoreError):
    """No room is left for a checkpoint or an artifact, or the disk fails."""

    code = "disk_full"
    way_out = "free some space and retry the job"
