"""The long parts of the report in Markdown, folded: a pull request's comment stays short."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kdcore.quality import Quality
from kdcore.reporting.changed import Scored, gained, most_changed
from kdcore.reporting.plain import plain
from kdcore.reporting.record import Report

MOST_CLASSES: Final = 10


def as_markdown(report: Report) -> list[str]:
    """Return classes, trainings and what the run was made with, each folded."""
    return [*_classes(report.quality), *_trainings(report), *_made_with(report)]


def _classes(quality: Quality) -> list[str]:
    match quality.kind:
        case "classification":
            shown = most_changed(quality.classes, MOST_CLASSES)
            return _class_table(shown, len(quality.classes))
        case "multi_label":
            shown = most_changed(quality.labels, MOST_CLASSES)
            return _class_table(shown, len(quality.labels))
        case "regression" | "embedding":
            return []


def _class_table(shown: Sequence[Scored], known: int) -> list[str]:
    if not shown:
        return []
    baseline = shown[0].baseline is not None
    other = "baseline" if baseline else "teacher"
    rows = [
        f"| {plain(one.name)} | {one.count:,} | {100 * one.teacher:.1f} % "
        f"| {100 * one.student:.1f} % "
        + (f"| {100 * one.baseline:.1f} % " if one.baseline is not None else "")
        + f"| {100 * gained(one):+.1f} |"
        for one in shown
    ]
    more = " baseline |" if baseline else ""
    return _folded(
        f"Student minus {other} by class: the {len(shown)} of {known} that changed most",
        [
            f"| class | test samples | teacher | student |{more} change, points |",
            f"| --- | ---: | ---: | ---: |{' ---: |' if baseline else ''} ---: |",
            *rows,
        ],
    )


def _trainings(report: Report) -> list[str]:
    if not report.stages:
        return []
    verdict = report.verdict
    rows: list[str] = []
    for one in report.stages:
        score = one.scores.get(verdict.metric)
        told = "" if score is None else f"{100 * score:.2f} %"
        rows.append(
            f"| {plain(one.stage)} | {one.seed} | {one.steps:,} | {one.seconds:,.1f} | {told} |"
        )
    count, seconds = len(report.stages), sum(one.seconds for one in report.stages)
    return _folded(
        f"{count} training{'s' * (count > 1)} in {seconds:,.1f} seconds",
        [
            f"| stage | seed | steps | seconds | test {verdict.called} |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
        ],
    )


def _made_with(report: Report) -> list[str]:
    rows = [
        *(f"| sha256 of the {plain(name)} | `{one}` |" for name, one in report.digests.items()),
        *(f"| {plain(name)} | {plain(one)} |" for name, one in report.versions.items()),
    ]
    return _folded("Made with", ["| what | which |", "| --- | --- |", *rows]) if rows else []


def _folded(summary: str, lines: Sequence[str]) -> list[str]:
    """Return lines below a summary that opens them; blank lines make them Markdown."""
    return ["", "<details>", f"<summary>{summary}</summary>", "", *lines, "", "</details>"]
