"""A benchmark as it is run by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def told(tmp_path: Path, name: str, *words: str) -> tuple[str, dict[str, Any]]:
    """Return what a benchmark prints, and what it writes."""
    kept = tmp_path / "kept.json"
    done = subprocess.run(
        [sys.executable, f"benchmarks/{name}.py", *words, "--repeats", "1", "--json", str(kept)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(kept.read_text())
