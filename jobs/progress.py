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

ANSWERS = ("answers", "reason", "cache", "bytes", "seconds_saved")
CACHING = ("teacher", "done", "total", "bytes", "eta_seconds", "waiting")


def fold_progress(
    progress: Mapping[str, Any] | None, events: Iterable[Mapping[str, Any]]
) -> dict[str, Any] | None:
    """Return the progress after the events; None before anything is known."""
    state: dict[str, Any] = {**(progress or {})}
    for event in events:
        match event["type"]:
            case "run.started":
                # A later attempt goes on where the one before was, or nearly.
                kept = {key: state[key] for key in ("answers", "teacher_cache") if key in state}
                state = {"percent": state.get("percent", 0.0), **kept}
                state["stages_total"] = len(event["stages"])
                state["stages_done"] = 0
                state["stages_finished"] = []
            case "stage.progress":
                state.update({key: event[key] for key in SHOWN})
                state["eta_seconds"] = event["run_eta_seconds"]
                state["memory_bytes"] = event.get("memory_bytes")  # an older trainer tells none
            case "answers.progress":
                state["caching"] = {key: event[key] for key in CACHING}
            case "run.stopped" | "run.failed":
                state.pop("caching", None)
            case "answers.ready":
                state.pop("caching", None)
                said = {key: event[key] for key in ANSWERS}
                asked = f"{event['teacher']} for {event['stage']}"
                # What an earlier attempt wrote, a later one finds.
                state["answers"] = {asked: said, **state.get("answers", {})}
                state["teacher_cache"] = _total(state["answers"])
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


def _total(answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Say what the teacher cache did for a job, over all its stages and attempts."""
    reasons = [answer["reason"] for answer in answers.values()]
    return {
        "hits": reasons.count("found"),
        "written": reasons.count("written"),
        "live": sum(answer["answers"] == "live" for answer in answers.values()),
        "bytes": sum(
            {a["cache"]: a["bytes"] for a in answers.values() if a["answers"] == "kept"}.values()
        ),
        "seconds_saved": sum(answer["seconds_saved"] for answer in answers.values()),
    }


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
