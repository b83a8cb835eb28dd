"""What a watch draws below its bars, on terminals of fixed sizes."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from io import StringIO
from typing import Any, cast

import pytest
from rich.console import Console
from stillhouse.bodies import EventBody
from stillhouse.curves import CurvesView
from stillhouse.live import Bars
from stillhouse.plot import Canvas, Line, Scale
from stillhouse.story import Story

STEPS = 600


def event(kind: str, **data: Any) -> EventBody:
    return cast("EventBody", {"seq": 1, "type": kind, "data": data})


def begun(stage: str, role: str, step: int = 0) -> EventBody:
    return event("stage.started", stage=stage, role=role, seed=0, step=step, total_steps=STEPS)


def measured(stage: str, step: int, score: float | None, split: str = "validation") -> EventBody:
    scores = {"accuracy": score}
    return event(
        "stage.evaluated", stage=stage, step=step, split=split, metric="accuracy", scores=scores
    )


def progress(stage: str, role: str, step: int, loss: float | None) -> EventBody:
    return event(
        "progress", stage=stage, role=role, step=step, percent=50.0, metrics={"loss": loss}
    )


def training(stage: str, role: str, end: float, *, whole: bool = True) -> Iterator[EventBody]:
    """Yield a training that rises to a score, or half of it."""
    yield begun(stage, role)
    for step in range(60, (STEPS if whole else STEPS // 2) + 1, 60):
        yield measured(stage, step, end - 0.5 * math.exp(-8 * step / STEPS))
        yield progress(stage, role, step, 2 * math.exp(-6 * step / STEPS))
    if whole:
        yield event("stage.finished", stage=stage, role=role, seed=0, scores={"accuracy": end})


def run() -> Iterator[EventBody]:
    yield from training("teacher", "teacher", 0.99)
    yield from training("baseline-0", "baseline", 0.88)
    yield from training("student-0", "student", 0.96, whole=False)


def drawn(*events: EventBody, width: int = 80, height: int = 40, encoding: str = "utf-8") -> str:
    class Terminal(StringIO):
        @property
        def encoding(self) -> str:  # type: ignore[override]
            return encoding

    console = Console(file=Terminal(), width=width, height=height, force_terminal=True)
    story, view = Story(), CurvesView()
    for one in events:
        story.tell(one)
    view.look(story)
    with console.capture() as capture:
        console.print(view)
    return capture.get()


def plain(text: str) -> list[str]:
    return re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()


def dots(line: str) -> list[int]:
    """Return the columns of a line's characters that have dots."""
    _, _, field = line.partition("┤")
    return [place for place, letter in enumerate(field) if letter > "\u2800"]


@pytest.mark.parametrize("width", [60, 80, 200])
def test_the_students_metric_is_drawn_between_what_teacher_and_baseline_reached(width: int) -> None:
    lines = plain(drawn(*run(), width=width))
    assert lines[0].startswith("validation accuracy  ─ student, seed 0 95.")
    assert max(map(len, lines)) <= min(width, 90)
    text = "\n".join(lines)
    for words in (
        "validation accuracy",
        "─ student, seed 0 95.",
        "╌ teacher 99.0",
        "╌ baseline 88",
    ):
        assert words in text
    plot = [line for line in lines if "┤" in line]
    assert len(plot) == 6
    assert plot[0].startswith("99.0 %┤")
    assert lines[-1].split() == ["0", "step", "600"]
    # The curve has come half of the way, the teacher's level goes all of it.
    field = len(plot[0].partition("┤")[2])
    assert max(dots(plot[0])) >= field - 2
    assert max(dots(plot[-1])) < field / 2
    heights = [min(dots(line)) for line in (plot[-1], plot[-2])]
    assert heights == sorted(heights), "it rises to the right"


def test_until_there_is_a_metric_the_loss_is_drawn() -> None:
    events = [begun("student-0", "student"), progress("student-0", "student", 10, 2.0)]
    assert drawn(*events) == ""
    lines = plain(drawn(*events, progress("student-0", "student", 20, 1.5)))
    assert lines[0] == "loss  ─ student, seed 0 1.5"
    falling = [progress("student-0", "student", step, 10 ** (-step / 100)) for step in (30, 300)]
    assert plain(drawn(*events, *falling))[0].startswith("loss, by powers of ten")
    scored = [measured("student-0", step, 0.5) for step in (30, 60)]
    assert plain(drawn(*events, *falling, *scored))[0].startswith("validation accuracy")


def test_what_is_measured_on_the_test_part_is_no_point_of_the_curve() -> None:
    points = [measured("student-0", step, 0.5, split="test") for step in (1, 2)]
    assert drawn(begun("student-0", "student"), *points) == ""


def test_what_is_trained_again_is_drawn_once() -> None:
    story = Story()
    events = training("student-0", "student", 0.9, whole=False)
    for one in [*events, begun("student-0", "student", 120)]:
        story.tell(one)
    assert story.current is not None
    assert list(story.current.validated) == [60, 120]
    assert list(story.current.losses) == [60, 120]


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_no_number_is_left_out(value: float | None) -> None:
    lost = progress("student-0", "student", 9, value)
    events = [*run(), measured("student-0", 360, value), lost]
    assert "student, seed 0 95." in "\n".join(plain(drawn(*events)))
    losses = [progress("student-0", "student", step, 1.5) for step in (1, 2)]
    assert plain(drawn(*losses, lost))[0].endswith("1.5")


@pytest.mark.parametrize("values", [[0.0, 0.0], [1.0, 1.0], [-1e308, 1e308], [1e-300, 1e300]])
def test_any_numbers_can_be_drawn(values: list[float]) -> None:
    events = [progress("student-0", "student", step, one) for step, one in enumerate(values)]
    assert "loss" in drawn(begun("student-0", "student"), *events)
    scored = [measured("student-0", step, one) for step, one in enumerate(values)]
    assert "validation" in drawn(begun("student-0", "student"), *scored)


@pytest.mark.parametrize(
    "terminal", [{"width": 39}, {"height": 17}, {"encoding": "ascii"}, {"encoding": "latin-1"}]
)
def test_where_there_is_no_room_for_it_nothing_is_drawn(terminal: dict[str, Any]) -> None:
    assert drawn(*run(), **terminal) == ""


def test_a_long_training_does_not_fill_the_memory() -> None:
    story = Story()
    for step in range(10_000):
        story.tell(progress("student-0", "student", step, 1.0))
    assert story.current is not None
    assert len(story.current.losses) <= 2000
    assert max(story.current.losses) >= 9990


@pytest.mark.parametrize("curves", [True, False])
def test_bars_have_curves_below_them_where_they_are_wanted(*, curves: bool) -> None:
    console = Console(file=StringIO(), width=60, height=40, force_terminal=True)
    Bars(console, "job", curves=curves).follow(run())
    assert ("┤" in cast("StringIO", console.file).getvalue()) == curves


def test_a_steep_line_has_no_gaps_and_a_level_is_dashed() -> None:
    canvas = Canvas(4, 2)
    scale = Scale([0.0, 1.0], logarithmic=False)
    canvas.draw(Line("a", "", [(0, 0.0), (1, 1.0)]), scale, 100)
    assert [line.plain for line in canvas.lines()] == ["⡇⠀⠀⠀", "⡇⠀⠀⠀"]
    level = Canvas(4, 1)
    level.draw(Line("b", "", [(0, 1.0)], is_level=True), scale, 100)
    assert level.lines()[0].plain == "⠉⠀⠉⠀"
