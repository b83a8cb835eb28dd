"""What the client shows of the forms of a student."""

from __future__ import annotations

from typing import Any, cast

from rich.console import Console
from stand import verdict
from stillhouse.bodies import Verdict
from stillhouse.tables import verdict_view


def shown(told: dict[str, Any]) -> str:
    console = Console(width=120, no_color=True)
    with console.capture() as capture:
        console.print(verdict_view(cast("Verdict", told)))
    return capture.get()


def test_a_verdict_shows_the_student_in_int8_where_there_is_one() -> None:
    int8 = {"seed": 3, "score": 0.871, "size_bytes": 4321, "latency_ms": 0.25}
    text = shown({**verdict(), "int8": int8})
    (line,) = (line for line in text.splitlines() if "int8" in line)
    for words in ("seed 3", "87.1", "2,410", "4.3 kB", "0.25 ms"):
        assert words in line
    for told in (verdict(), {**verdict(), "int8": None}):
        assert "int8" not in shown(told)
