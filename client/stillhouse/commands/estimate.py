"""estimate: what a job would take."""

from __future__ import annotations

from typing import Annotated

import typer

from stillhouse.estimate_bodies import Estimate
from stillhouse.options import AsJson, Url, connect
from stillhouse.output import Output
from stillhouse.spec import read_spec
from stillhouse.words import size, time_range


def estimate(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="YAML or JSON; - reads it from standard input.")
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Change the spec first. Repeatable."),
    ] = None,
    url: Url = None,
    as_json: AsJson = False,
) -> None:
    """Say what a job would take at least, and how long earlier ones like it took.

    Nothing is submitted. A spec that would be refused is refused here, with the same words.
    """
    output = Output(as_json=as_json)
    spec = read_spec(file, changes or ())
    with connect(url) as client:
        told = client.estimate(spec)
    output.plain(told, "\n".join(_lines(told)))


def _lines(told: Estimate) -> list[str]:
    lines = [
        f"{network['pointer']:<16} {_number(network['parameters'])} parameters"
        f"{_operations(network.get('flops'))}"
        for network in told["networks"]
    ]
    lines += [
        f"{'steps':<16} {_steps(told)}",
        f"{'memory':<16} {size(told['memory_bytes'])} at least",
        f"{'disk':<16} {size(told['disk_bytes'])} at least",
    ]
    seconds = told["seconds"]
    if seconds is None:
        notes = told.get("notes") or ["no job like it has succeeded yet"]
        lines += [f"{'time':<16} unknown: {note}" for note in notes]
    else:
        lines.append(f"{'time':<16} {time_range(seconds)}")
    lines.append(f"{'waiting':<16} {told['waiting']} jobs before it")
    return lines


def _operations(flops: int | None) -> str:
    return "" if flops is None else f", {flops:,} FLOPs for a sample"


def _steps(told: Estimate) -> str:
    steps = f"{told['steps']:,} in all trainings"
    return steps if told.get("steps_known", True) else f"unknown, at least {steps}"


def _number(parameters: int | None) -> str:
    return "an unknown number of" if parameters is None else f"{parameters:,}"
