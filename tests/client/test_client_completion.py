"""What the shell offers, asked as bash asks it, and `--json` of every command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer
from stand import Server, environment
from stillhouse import completing
from stillhouse.bodies import Status
from stillhouse.cli import app

from api.routes.catalog import PATHS


def offered(line: str, url: str = "http://127.0.0.1:9") -> list[str]:
    """Return what is offered for the last word of a line, which may be empty."""
    words = line.split(" ")
    asked = environment(
        _STILLHOUSE_COMPLETE="complete_bash",
        COMP_WORDS=line,
        COMP_CWORD=str(len(words) - 1),
        STILLHOUSE_URL=url,
    )
    done = subprocess.run(
        [sys.executable, "-c", "from stillhouse.cli import app; app(prog_name='stillhouse')"],
        env=asked,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_commands_axes_and_statuses_are_offered() -> None:
    assert offered("stillhouse can") == ["cancel"]
    assert offered("stillhouse methods --axis w") == ["weightings"]
    assert offered("stillhouse list --status s") == ["succeeded"]
    assert completing.axes() == [*PATHS]
    assert set(completing.statuses()) == set(get_args(Status))


def test_names_are_the_servers_and_none_where_there_is_no_server(server: Server) -> None:
    assert "kd" in offered("stillhouse methods k", server.url)
    assert "mlp" in offered("stillhouse methods --axis architectures ml", server.url)
    assert "dkd" in offered("stillhouse list --method dk", server.url)
    assert offered("stillhouse list --method dk") == []


def leaves(command: Any, *path: str) -> Iterator[tuple[str, Any]]:
    """Yield every command that does something, with its words."""
    groups = getattr(command, "commands", None)
    if groups is None or (path and command.invoke_without_command):
        yield " ".join(path), command
    for name, below in (groups or {}).items():
        yield from leaves(below, *path, name)


COMMANDS = dict(leaves(typer.main.get_command(app)))


def test_the_tree_is_walked_to_its_leaves() -> None:
    assert {"submit", "sweeps find", "keys create", "workers", "workers drain"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_json(command: str) -> None:
    assert "--json" in {word for one in COMMANDS[command].params for word in one.opts}
