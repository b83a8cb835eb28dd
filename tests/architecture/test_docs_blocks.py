"""Every block of the documentation is run by a test; where it is not, its names are true."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import tomllib
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from docs_blocks import (
    BLOCKS,
    ELSEWHERE,
    EXAMPLE,
    PAGES,
    ROOT,
    RUNNERS,
    Block,
    blocks_of,
    pages,
    run_by,
)
from stillhouse.cli import app

from jobs.settings import Settings

LANGUAGES = {
    "console": {"bench", "cluster", "examples", "hosts", "make", "mlflow", "shell", "wheel"},
    "sh": {"openai", "shell"},
    "python": {"airflow", "mlflow", "openai", "python", "receiver"},
    "yaml": {"action", "copy", "spec", "sweep", "values"},
    "http": {"message"},
    "ini": {"mlflow"},
    "text": {"layout"},
    "toml": {"plugin"},
    "": {"drawing"},
}
BASH = shutil.which("bash") or "bash"
COMMAND = typer.main.get_command(app)
SHELL = [block for block in BLOCKS if block.language in {"console", "sh"}]
GROUP = "stillhouse.models"
SETTINGS = {f"STILLHOUSE_{field.upper()}" for field in Settings.model_fields}


def of(*runners: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", run_by(*runners), ids=str)


@pytest.mark.parametrize("page", sorted({*PAGES, *pages()}))
def test_each_block_of_a_page_has_a_runner(page: str) -> None:
    found = blocks_of(page)
    assert [str(block) for block in found if block.runner is None] == [], (
        "a row of PAGES names them"
    )
    assert len(found) == len(PAGES.get(page, "").split())
    for block in found:
        assert block.runner in LANGUAGES[block.language], block


def test_every_fence_of_a_page_is_one_of_a_block() -> None:
    for page in pages():
        fences = re.findall(r"^ *```", (ROOT / page).read_text(), re.MULTILINE)
        assert len(fences) == 2 * len(blocks_of(page)), page


def test_a_runner_names_tests_that_are_there_and_has_something_to_run() -> None:
    assert set(Counter(block.runner for block in BLOCKS)) == set(RUNNERS)
    for reason in [*RUNNERS.values(), *ELSEWHERE.values()]:
        named = re.findall(r"tests/[\w/]+(?:\.py)?", reason)
        assert named, reason
        assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_bash_can_read_it(block: Block) -> None:
    subprocess.run([BASH, "-n"], input=block.text, text=True, check=True)


def simple(line: str) -> list[list[str]]:
    """Return the words of each `stillhouse …` on a line."""
    parts = re.findall(r"(?:^|\$\(|; *)(stillhouse [^;|]*)", line)
    whole = [re.sub(r"\)$", "", part.partition("  #")[0].rstrip()) for part in parts]
    return [shlex.split(one, comments=True)[1:] for one in whole]


@pytest.mark.parametrize(
    "words",
    [words for block in SHELL for line in block.commands for words in simple(line)],
    ids=" ".join,
)
def test_a_command_of_the_command_line_is_one(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in re.findall(r"(?<![\w./])\w+\.\w+", " ".join(words)):
        Path(file).touch()  # what is uploaded must be there
    command: Any = COMMAND
    # Typer has a click of its own, whose groups are none of the other one's.
    while words and hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    assert not hasattr(command, "commands") or command.invoke_without_command
    command.make_context(command.name, words)


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_setting_that_a_page_names_is_one(page: str) -> None:
    named = set(
        re.findall(r"(?<!secrets\.)STILLHOUSE_[A-Z0-9_]+(?<!_)\b", (ROOT / page).read_text())
    )
    places = [
        "client/stillhouse/**/*.py",
        "docker-compose.yml",
        "docker/*",
        "tests/**/*.py",
        "worker/*.py",
    ]
    read = [file.read_text() for place in places for file in ROOT.glob(place) if file.is_file()]
    strangers = {name for name in named - SETTINGS if not any(name in text for text in read)}
    assert strangers == set()


@of("examples")
def test_lines_of_examples_are_all_run(block: Block) -> None:
    assert [line for line in block.commands if not EXAMPLE.match(line)] == []


@of("make")
def test_a_target_of_make_is_there_and_so_are_the_options_that_it_hands_on(block: Block) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for line in block.commands:
        command, _, comment = line.partition("#")
        _, target, *given = shlex.split(command)
        assert f"\n{target}: ## " in makefile
        takers = re.findall(
            rf"^{target}:.*\n(?:\t.*\n)*?\t@.* -m (\w+) \$\(ARGS\)", makefile, re.MULTILINE
        )
        options = re.findall(r"--[\w-]+", " ".join([*given, comment]))
        assert not options or takers
        for taker in takers:
            taking = (ROOT / "tests" / taker / "__main__.py").read_text()
            assert [one for one in options if f'"{one}"' not in taking] == []


@of("bench")
def test_a_benchmark_is_there_and_takes_its_options(block: Block) -> None:
    for line in block.commands:
        words = line.replace("#", " ").replace(";", " ").split()
        text = (ROOT / words[1]).read_text()
        assert [word for word in words if word[:2] == "--" and f'"{word}"' not in text] == []


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_modules_and_files_of_ours_that_it_names_are_there(block: Block) -> None:
    for module in re.findall(r"python -m ([\w.]+)", block.text):
        assert find_spec(module), module
    for path in re.findall(
        r"(?<![\w/.-])((?:examples|docker|deploy/helm|benchmarks)/[\w./-]+)", block.text
    ):
        assert (ROOT / path).exists(), path


@of("copy")
def test_a_copy_is_that_of_a_file(block: Block) -> None:
    assert block.text in [file.read_text() for file in (ROOT / "examples").glob("*.yaml")]


@of("action")
def test_steps_give_the_action_what_it_takes(block: Block) -> None:
    action = yaml.safe_load((ROOT / "examples/pipelines/github/action.yml").read_text())
    steps = [one for one in yaml.safe_load(block.text)["steps"] if one["uses"].endswith("/distil")]
    required = {name for name, one in action["inputs"].items() if one.get("required")}
    for step in steps:
        assert required <= set(step["with"]) <= set(action["inputs"])
    assert steps


@of("plugin")
def test_an_entry_point_is_of_our_group(block: Block) -> None:
    points = tomllib.loads(block.text)["project"]["entry-points"]
    assert [*points] == [GROUP]
    assert f'"{GROUP}"' in (ROOT / "kdcore/models/__init__.py").read_text()
    assert all(re.fullmatch(r"\w+(\.\w+)*:\w+", one) for one in points[GROUP].values())


@of("drawing")
def test_files_in_a_drawing_are_there(block: Block) -> None:
    starts = re.findall(r"^(\w+)/", block.text, re.MULTILINE) or ["kdcore", "api", "jobs", "worker"]
    named = set(re.findall(r"\w[\w/]*\.py\b|(?<=[ (])\w+/(?= [a-z])", block.text))
    assert named
    for name in sorted(named):
        assert (ROOT / name).exists() or any(any((ROOT / top).rglob(name)) for top in starts), name
    assert [name for name in starts if name not in block.text or not (ROOT / name).is_dir()] == []


@of("layout")
def test_a_layout_tells_names_that_the_page_tells_of(block: Block) -> None:
    page = (ROOT / Path(block.page)).read_text()
    for name in re.findall(r"photos\.zip|labels\.csv", block.text):
        assert page.count(name) > block.text.count(name)
