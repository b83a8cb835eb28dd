"""What a job may take at most, by the operator's settings; a spec beyond is refused, not queued."""

from collections.abc import Iterator

from jobs.hub import OFF
from jobs.settings import Settings
from jobs.spec import JobSpec
from kdcore.validation import FieldProblem

_GB = 1e9


def beyond(spec: JobSpec, settings: Settings) -> Iterator[FieldProblem]:
    """Say of each limit that a spec exceeds by how much, where, and what to do."""
    for named in spec.references:
        if named.kind == "hub" and settings.hub_url == OFF:
            yield FieldProblem(
                named.pointer,
                "hub_refused",
                f"found {named.id} of the hub; expected a file of this house, which fetches nothing"
                " from there",
                "upload the folder as a zip, and name that: stillhouse models upload",
            )
    extent = spec.extent
    for pointer, parameters in extent.parameters:
        if parameters > settings.max_parameters:
            yield FieldProblem(
                spec.written_at(pointer),
                "too_many_parameters",
                f"found a network of {parameters:,} parameters; expected at most "
                f"{settings.max_parameters:,}",
                "take fewer or narrower layers, or have STILLHOUSE_MAX_PARAMETERS raised",
            )
    if extent.steps > settings.max_steps:
        yield FieldProblem(
            "/training",
            "too_many_steps",
            f"found {extent.steps:,} optimiser steps in all trainings together; expected at most "
            f"{settings.max_steps:,}",
            "ask for fewer epochs, steps or seeds, or have STILLHOUSE_MAX_STEPS raised",
        )
    if extent.memory_bytes > settings.max_memory_bytes:
        yield FieldProblem(
            "/training/per_device_train_batch_size",
            "too_much_memory",
            f"found a training that needs {extent.memory_bytes / _GB:,.1f} GB of memory or more; "
            f"expected at most {settings.max_memory_bytes / _GB:,.1f} GB",
            "use smaller batches or networks, or have STILLHOUSE_MAX_MEMORY_BYTES raised",
        )
    if extent.disk_bytes > settings.max_disk_bytes:
        yield FieldProblem(
            "/training/save_total_limit",
            "too_much_disk",
            f"found a run whose networks and checkpoints take {extent.disk_bytes / _GB:,.1f} GB or "
            f"more; expected at most {settings.max_disk_bytes / _GB:,.1f} GB",
            "keep fewer checkpoints, ask for fewer seeds, or have STILLHOUSE_MAX_DISK_BYTES raised",
        )
