"""What the docs tell to type is typed, and ends in a verdict."""

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from docs_blocks import ROOT, run_by

BLOCKS = run_by("examples")
PAGES = {
    page: [line for block in BLOCKS if block.page == page for line in block.commands]
    for page in sorted({block.page for block in BLOCKS})
}


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_as_it_says(page: str, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    for line in PAGES[page]:
        _, *arguments = shlex.split(line, comments=True)
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode in {0, 3}, done.stdout + done.stderr
    reports = sorted(tmp_path.glob("out/*/artifacts/report.json"))
    assert len(reports) == sum("-m kdcore examples/" in line for line in PAGES[page])
    for report in reports:
        verdict = json.loads(report.read_text())["verdict"]
        assert verdict["outcome"] != "loses"
        assert verdict["gates_passed"] is not False
