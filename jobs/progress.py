"""Where a running job is, folded from the events that its trainer reports."""

from collections.abc import Iterable, Mapping
from typing import Any

SHOWN = (
    "percent",
    "stage",
    "role",
    "seed",
    "step",
    "total_steps",
    "epoch",
    "samples_per_second",
    "metrics",
)


def fold_progress(
    progress: Mapping[str, Any] | None, events: Iterable[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the progress after the events; None before anything is known."""
    state: dict[str, Any] = {**(progress or {})}
    for event in events:
        match event["type"]:
            case "run.started":
                # A later attempt goes on where the one before was, or nearly.
                state = {"percent": state.get("percent", 0.0)}
                state["stages_total"] = len(event["stages"])
                state["stages_done"] = 0
                state["stages_finished"] = []
            case "stage.progress":
                state.update({key: event[key] for key in SHOWN})
                state["eta_seconds"] = event["run_eta_seconds"]
            case "stage.finished":
                finished = list(dict.fromkeys([*state.get("stages_finished", []), event["stage"]]))
                state["stages_finished"] = finished
                state["stages_done"] = len(finished)
            case "run.finished":
                state["percent"] = 100.0
                state["eta_seconds"] = 0.0
            case _:
                pass
    return state or None


def fold_saved_steps(
    saved: Mapping[str, int], events: Iterable[Mapping[str, Any]]
) -> tuple[dict[str, int], bool]:
    """Return the highest saved step by stage after the events, and whether any went up."""
    steps = dict(saved)
    for event in events:
        if event["type"] not in {"checkpoint", "stage.finished"}:
            continue
        # A finished stage is one step further than a checkpoint at its last step.
        step = event["step"] + (event["type"] == "stage.finished")
        steps[event["stage"]] = max(step, steps.get(event["stage"], -1))
    return steps, steps != dict(saved)
