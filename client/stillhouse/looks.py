"""What commands say of looks at data, models and specs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import typer

from stillhouse import exits
from stillhouse.inspection_bodies import Inspection
from stillhouse.words import size, time_range

_SHOWN = 20


def report_text(told: Inspection) -> str:
    """Return a data report in a few lines; the page and the JSON have all of it."""
    report = told["result"]
    if report is None:
        return failure_text(told)
    lines = [f"{part:<12} {one['samples']:,} samples" for part, one in report["parts"].items()]
    lines.append(f"{'classes':<12} {report['num_classes']}")
    lines += [f"{one['code']}: {one['message']} ({one['hint']})" for one in report["notes"]]
    faults = report["faults"]["shown"][:_SHOWN]
    lines += [f"cannot be used: {one['name']}: {one['reason']}" for one in faults]
    return "\n".join(lines)


def layers_text(told: Inspection) -> str:
    """Return layers, one a line."""
    found = told["result"]
    if found is None:
        return failure_text(told)
    lines = [f"{found['parameters']:,} parameters in {len(found['layers'])} {found['of']}"]
    width = max((len(one["path"]) for one in found["layers"]), default=0)
    lines += [_layer(one, width) for one in found["layers"]]
    return "\n".join(lines)


def _layer(one: dict[str, Any], width: int) -> str:
    numbers = "" if one["parameters"] is None else f"{one['parameters']:,}"
    shape = "x".join(map(str, one["shape"]))
    return f"{one['path']:{width}}  {shape:>14}  {numbers:>12}".rstrip()


def preflight_text(told: Inspection) -> str:
    """Return what was found by trying a spec out."""
    found = told["result"]
    if found is None:
        return failure_text(told)
    lines = [
        f"{one['pointer'] or '/'}: {one['message']} ({one['hint']})" for one in found["problems"]
    ]
    for whose in ("teacher", "student"):
        if one := found[whose]:
            flops = f", {one['flops']:,} FLOPs for a sample" if one["flops"] else ""
            lines.append(f"{whose:<10} {one['model']}, {one['parameters']:,} parameters{flops}")
    if found["compatible"]:
        memory = found["peak_memory_bytes"] / 1e6
        lines.append(f"compatible: {found['steps']:,} steps; {memory:,.0f} MB were needed to try")
        lines += _taken(found)
    if seconds := told.get("seconds"):
        lines.append(f"{'time':<10} {time_range(seconds)}")
    return "\n".join(lines)


def _taken(found: dict[str, Any]) -> Iterator[str]:
    """Tell what a job takes, as far as a server that may be older has said."""
    if memory := found.get("device_memory_bytes"):
        yield f"{'memory':<10} {size(memory)} on the device, at least"
    if disk := found.get("disk_bytes"):
        cache = found.get("teacher_cache_bytes") or 0
        yield f"{'disk':<10} {size(disk)}, and {size(cache)} of teacher cache"


def failure_text(told: Inspection) -> str:
    """Return why nothing was found out."""
    failure = told["failure"]
    if failure is None:
        return f"{told['id']} is {told['state']}"
    return f"{failure['code']}: {failure['message']} ({failure['hint'] or 'ask again'})"


def finish(told: Inspection) -> None:
    """End the command: 1 where nothing was found out, or something that is wrong.

    Raises:
        typer.Exit: it is so.
    """
    found = told["result"]
    if found is None or found.get("compatible") is False or found.get("faults", {}).get("count"):
        raise typer.Exit(exits.FAILED)
