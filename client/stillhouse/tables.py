"""What commands show to people, as rich renderables. Server text is never read as markup."""

from __future__ import annotations

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from stillhouse.bodies import Artifact, Job, JobSummary, Measured, Verdict
from stillhouse.words import age, duration, number, percent, points, size, whole

_STATUS_STYLE = {
    "queued": "yellow",
    "running": "cyan",
    "paused": "yellow",
    "succeeded": "green",
    "failed": "red",
    "cancelled": "magenta",
}
_OUTCOME_STYLE = {"beats": "bold green", "ties": "yellow", "loses": "bold red"}


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style=_STATUS_STYLE.get(status, ""))


def jobs_table(jobs: list[JobSummary]) -> Table:
    """Jobs, one a line."""
    table = table_of("id", "name", "status", "what", "result", "age")
    for job in jobs:
        progress = job["progress"]
        done = progress["percent"] if progress and not job["terminal"] else None
        said = job["outcome"] or ("" if done is None else f"{done:.0f} %")
        table.add_row(
            job["id"],
            Text(job["name"] or "-"),
            status_text(job["status"]),
            f"{job['teacher']} -> {job['student']}, {job['method'] or 'own axes'}",
            said,
            age(job["created_at"]),
        )
    return table


def job_view(job: Job) -> RenderableType:
    """One job: what, where, and how it ended."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    table.add_row("job", job["id"])
    if job["name"]:
        table.add_row("name", Text(job["name"]))
    table.add_row("status", status_text(job["status"]))
    if job["phase"] and not job["terminal"]:
        table.add_row("phase", job["phase"])
    what = f"{job['teacher']} -> {job['student']}, {job['method'] or 'own axes'}"
    table.add_row("what", what)
    progress = job["progress"]
    if progress and not job["terminal"]:
        left = duration(progress["eta_seconds"])
        done = progress["percent"] or 0.0
        table.add_row("progress", f"{done:.0f} %, {left} left, in {progress['stage']}")
    table.add_row("attempt", f"{job['attempt']} of at most {job['max_attempts']}")
    for words in _history(job):
        table.add_row(*words)
    for moment in ("created_at", "started_at", "finished_at"):
        if job[moment]:
            table.add_row(moment.removesuffix("_at"), job[moment])
    if job["labels"]:
        table.add_row("labels", Text(", ".join(f"{k}={v}" for k, v in job["labels"].items())))
    parts: list[RenderableType] = [table]
    if failure := job["failure"]:
        parts += ["", failure_text(failure["code"], failure["message"], failure["hint"])]
    if verdict := job["verdict"]:
        parts += ["", verdict_view(verdict)]
    return Group(*parts)


def _history(job: Job) -> Iterator[tuple[str, str]]:
    if source := job.get("cloned_from"):
        yield "cloned from", source
    if purged := job.get("artifacts_purged_at"):
        yield "files", f"removed at {purged}: the server keeps none for longer"


def failure_text(code: str, message: str, hint: str | None) -> Text:
    """A failure: code, message and the way out."""
    text = Text.assemble((code, "bold red"), ": ", message)
    if hint:
        text.append(f"\n{hint}", style="dim")
    return text


def verdict_view(verdict: Verdict) -> RenderableType:
    """The comparison, its sentence, and the gates."""
    table = table_of("model", verdict["called"], "±", "parameters", "size", "latency")
    for column in table.columns[1:]:
        column.justify, column.no_wrap = "right", True
    rows: list[tuple[str, Measured | None]] = [
        ("teacher", verdict["teacher"]),
        ("student, distilled", verdict["student"]),
        ("student, without teacher", verdict["baseline"]),
    ]
    rows += [(f"student, {name.replace('_', ' ')}", it) for name, it in verdict["controls"].items()]
    for name, measured in rows:
        if measured is None:
            continue
        score = measured["score"]
        spread = score["std"]
        table.add_row(
            Text(name, style="bold" if name == "student, distilled" else ""),
            percent(score["mean"]),
            "-" if spread is None else f"{100 * spread:.1f}",
            whole(measured["parameters"]),
            size(measured["size_bytes"]),
            f"{measured['latency_ms']:.2g} ms",
        )
    if int8 := verdict.get("int8"):
        table.add_row(
            Text(f"student in int8, seed {int8['seed']}"),
            percent(int8["score"]),
            "-",
            whole(verdict["student"]["parameters"]),
            size(int8["size_bytes"]),
            f"{int8['latency_ms']:.2g} ms",
        )
    outcome = verdict["outcome"]
    sentence = Text.assemble(
        (outcome.upper(), _OUTCOME_STYLE.get(outcome, "bold")), "  ", verdict["sentence"]
    )
    parts: list[RenderableType] = [table, "", sentence, _facts(verdict)]
    if verdict["gates"]:
        parts += ["", _gates(verdict)]
    return Group(*parts)


def _facts(verdict: Verdict) -> Text:
    facts = list[str]()
    if uplift := verdict["uplift"]:
        facts.append("by seed " + " ".join(points(value) for value in uplift["values"]))
    facts.append(f"agrees with the teacher to {percent(verdict['agreement'])} on the test part")
    return Text(" · ".join(facts), style="dim")


def _gates(verdict: Verdict) -> Table:
    table = table_of("gate", "found", "")
    for gate in verdict["gates"]:
        mark = ("passed", "green") if gate["passed"] else ("NOT MET", "bold red")
        table.add_row(Text(gate["gate"]), number(gate["value"]), Text(*mark))
    return table


def artifacts_table(artifacts: list[Artifact]) -> Table:
    """Files, one a line."""
    table = table_of("file", "kind", "size", "sha256")
    for artifact in artifacts:
        table.add_row(
            artifact["name"], artifact["kind"], size(artifact["size_bytes"]), artifact["sha256"]
        )
    return table


def table_of(*columns: str) -> Table:
    """An empty table in the house's style."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, no_wrap=column in {"id", "status", "model", "age"})
    return table
