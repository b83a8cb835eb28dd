"""The client for programs without asyncio is made of the other one, and is current."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest
from stillhouse import AsyncClient, Client

from scripts.unasync import modules, without_asyncio

PARTS = ("access", "datasets", "models", "operations", "sweeps", "teacher_caches")


def meaning(text: str) -> str:
    """Return what a module says, however it is laid out; its imports are sorted by their text."""
    tree = ast.parse(text)
    tree.body = [node for node in tree.body if not isinstance(node, ast.Import | ast.ImportFrom)]
    return ast.dump(tree, indent=1)


@pytest.mark.parametrize("source", modules(), ids=lambda path: path.name)
def test_the_made_module_says_what_its_source_says(source: Path) -> None:
    made = source.parents[1] / source.name
    assert meaning(made.read_text(encoding="utf-8")) == meaning(
        without_asyncio(source.read_text(encoding="utf-8"))
    ), "run python scripts/unasync.py"


def test_nothing_asynchronous_is_left_in_what_was_made() -> None:
    for source in modules():
        text = (source.parents[1] / source.name).read_text(encoding="utf-8")
        assert not {"await", "async", "asyncio"} & set(text.split()), source.name
        assert "Async" not in text, source.name


@pytest.mark.parametrize("part", [None, *PARTS])
def test_both_clients_have_the_same_methods(part: str | None) -> None:
    def offered(client: object) -> dict[str, list[str]]:
        there = getattr(client, part) if part else client
        methods = inspect.getmembers(there, callable)
        return {
            name: list(inspect.signature(method).parameters)
            for name, method in methods
            if not name.startswith("_")
        }

    with Client("http://127.0.0.1:9") as client:
        both = offered(client), offered(AsyncClient("http://127.0.0.1:9"))
    assert both[0] == both[1]
    assert both[0]
