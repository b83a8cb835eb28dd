"""What `docs/data.md` shows is so: its examples run, no kind is missing."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kdcore.datasets import DATASETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/data.md").read_text()
EXAMPLES = sorted(set(re.findall(r"`(examples/digit_\w+\.yaml)`", PAGE)))


def run(line: str, folder: Path) -> str:
    words = shlex.split(line)
    assert words[0] == "python"
    done = subprocess.run(
        [sys.executable, *words[1:]], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    """Return a folder as a reader has it, with the inputs of all examples."""
    folder = tmp_path_factory.mktemp("reader")
    (folder / "examples").symlink_to(ROOT / "examples")
    run("python examples/digit_files.py inputs", folder)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("example", [one for one in EXAMPLES if "digit_images" not in one])
def test_its_examples_run_as_it_says(example, here):
    assert "nothing to warn of" in run(f"python -m kdcore data {example} --inputs inputs", here)
    name = Path(example).stem
    told = run(f"python -m kdcore {example} out/{name} --inputs inputs", here)
    assert re.search("^(beats|ties|loses|inconclusive): ", told, re.MULTILINE)


def test_every_kind_that_reads_files_is_on_it():
    assert len(EXAMPLES) == 8
    told = re.findall(r"name: (\w+)", PAGE) + re.findall(r"`(\w+)`", PAGE)
    assert set(DATASETS) - {"digits", "synthetic", "synthetic_text"} <= set(told)
