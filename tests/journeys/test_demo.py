"""The first thing that anybody does with this repository."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


def test_the_demo_ends_well_and_leaves_nothing_running(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "examples" / "demo.py"],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "TMPDIR": str(tmp_path),
            "NO_COLOR": "1",
            "COLUMNS": "120",
        },
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("teacher: ", "BEATS", "uplift.low > 0", "student.onnx", "test images read right"):
        assert words in done.stdout, words
    assert (tmp_path / "out" / "demo" / "student.safetensors").is_file()
    assert [process for process in psutil.process_iter() if _belongs_to(process, tmp_path)] == []


def _belongs_to(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.environ().get("STILLHOUSE_DATA", "").startswith(str(folder))
    except psutil.Error:
        return False
