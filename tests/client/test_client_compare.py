"""Jobs beside each other: as a call, on a terminal, as JSON and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
from rich.console import Console
from stand import SPEC, Cli, Server, Worker
from stillhouse import ApiError, Client
from stillhouse.beside import comparison_markdown, comparison_view
from stillhouse.comparison import Comparison


@pytest.fixture(scope="module")
def asking(server: Server) -> Iterator[Client]:
    """A client for all tests of this file."""
    with Client(server.url) as made:
        yield made


@pytest.fixture(scope="module")
def pair(asking: Client, worker: Worker) -> tuple[str, str]:
    """Two jobs: one whose gates passed, and one that waits."""
    first = asking.submit({**SPEC, "name": "first | one"})["id"]
    second = asking.submit({**SPEC, "name": "second", "method": "dkd"})["id"]
    worker.succeed(worker.take(first))
    return first, second


def told(*, best: list[str], second: float = 0.8) -> Comparison:
    """Return what a server says of two jobs."""
    jobs = [
        {"id": f"job_{name}", "name": name, "status": "succeeded", "outcome": "beats", "gates": []}
        for name in ("a", "b")
    ]
    value = {"std": 0.01, "low": None, "high": None}
    values = {"job_a": {**value, "value": 0.9}, "job_b": {**value, "value": second}}
    metric = {
        "name": "student.accuracy",
        "about": "",
        "unit": "fraction",
        "direction": "maximize",
        "values": values,
        "best": best,
    }
    uplift = {
        **metric,
        "name": "uplift",
        "unit": "difference",
        "values": {"job_a": {"value": 0.07, "std": 0.1, "low": 0.06, "high": 0.08}, "job_b": None},
        "best": [],
    }
    differing = {
        "pointer": "/method",
        "values": {"job_a": None, "job_b": {"name": "x" * 99}},
        "absent": [],
    }
    absent = {"pointer": "/seeds/1", "values": {"job_b": 3}, "absent": ["job_a"]}
    return cast(
        "Comparison",
        {
            "jobs": jobs,
            "metrics": [metric, uplift],
            "spec_diff": [differing, absent],
            "warnings": [{"code": "x", "message": "mind [this]"}],
        },
    )


def shown(found: Comparison, width: int = 100) -> str:
    console = Console(width=width, no_color=True)
    with console.capture() as capture:
        console.print(comparison_view(found))
    return capture.get()


def line(text: str, title: str) -> str:
    (found,) = (one for one in text.splitlines() if title in one)
    return found


def test_the_best_is_marked_and_what_is_absent_is_not_null() -> None:
    text = shown(told(best=["job_a"]))
    words = line(text, "student.accuracy ↑").split()
    assert " ".join(words[2:]) == "90.0 % ± 1.0 * 80.0 % ± 1.0"
    assert line(text, "uplift").split()[2:] == ["+7.0", "[+6.0,", "+8.0]", "-"]
    assert line(text, "/seeds/1").split() == ["/seeds/1", "absent", "3"]
    assert line(text, "/method").split()[1] == "null"
    assert "…" in line(text, "/method")
    assert "warning: mind [this]" in text


def test_a_tie_of_some_is_marked_and_of_all_is_not() -> None:
    text = shown(told(best=["job_a", "job_b"], second=0.9))
    assert "*" not in line(text, "student.accuracy")
    assert "=" not in line(text, "student.accuracy")
    three = told(best=["job_a", "job_b"], second=0.9)
    third = {**three["jobs"][0], "id": "job_c", "name": "c"}
    three["jobs"].append(cast("Any", third))
    low = {"value": 0.1, "std": None, "low": None, "high": None}
    for metric in three["metrics"]:
        metric["values"]["job_c"] = cast("Any", low)
    assert line(shown(three), "student.accuracy").count("=") == 2


def test_all_of_it_fits_into_sixty_columns() -> None:
    text = shown(told(best=["job_a"]), width=60)
    assert max(map(len, text.splitlines())) <= 60
    assert "90.0 %" in text


def test_markdown_shows_names_as_they_are() -> None:
    found = told(best=["job_b"])
    found["jobs"][0]["name"] = "a|b*<i>"
    lines = comparison_markdown(found).splitlines()
    assert lines[0] == r"|  | a\|b\*\<i\> | b |"
    assert lines[1] == "| --- | ---: | ---: |"
    assert "| student.accuracy ↑ | 90.0 % ± 1.0 | **80.0 % ± 1.0 \\*** |" in lines
    assert "| `/seeds/1` | absent | 3 |" in lines
    assert r"> **Warning:** mind \[this\]" in lines
    cells = {one.replace(r"\|", "").count("|") for one in lines if one.startswith("|")}
    assert cells == {4}, "a name ends no cell"


def test_a_call_gives_the_servers_answer(asking: Client, pair: tuple[str, str]) -> None:
    found = asking.compare(pair)
    assert [job["id"] for job in found["jobs"]] == list(pair)
    assert [one["code"] for one in found["warnings"]] == ["not_measured"]
    with pytest.raises(ApiError, match="job_0") as caught:
        asking.compare([pair[0], "job_" + "0" * 26])
    assert caught.value.status == 404


def test_a_command_gives_a_table_json_or_markdown(
    cli: Cli, asking: Client, pair: tuple[str, str]
) -> None:
    said = cli("compare", *pair)
    assert said.code == 0, said.err
    assert "/method/name" in said.out
    assert "student.accuracy ↑" in said.out
    assert pair[0] in said.out
    assert cli("compare", *pair, "--json").json == asking.compare(pair)
    markdown = cli("compare", *pair, "--markdown").out
    assert markdown.startswith("|  | first \\| one | second |\n| --- |")
    alone = cli("compare", pair[0])
    assert (alone.code, alone.out) == (2, "")
    assert "expected 2 to 10 ids" in alone.err
