"""The benchmarks of the engine run at all, on sizes that measure nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from benched import ROOT, told


@pytest.mark.slow
def test_toolkits_that_nobody_names_are_left_out_and_the_line_says_how_to_name_them(
    tmp_path: Path,
) -> None:
    words = ("--pair", "small", "--method", "kd", "--samples", "200", "--steps", "1")
    shown, kept = told(tmp_path, "toolkits", *words)
    assert "mdistiller is left out; --mdistiller CHECKOUT takes it in" in shown
    assert "RepDistiller is left out; --repdistiller CHECKOUT takes it in" in shown
    assert "torchdistill is left out; --torchdistill CHECKOUT takes it in" in shown
    assert set(kept["small kd"]["cpu_seconds"]) == {"plain loop", "ours, live", "ours, kept"}


def refused(toolkit: str, folder: Path) -> str:
    """Return why a benchmark does not take a folder for a checkout."""
    words = [sys.executable, "benchmarks/toolkits.py", f"--{toolkit}", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    ("toolkit", "file"),
    [
        ("mdistiller", "mdistiller/engine/trainer.py"),
        ("repdistiller", "helper/loops.py"),
        ("torchdistill", "examples/torchvision/image_classification.py"),
    ],
)
def test_a_folder_that_is_no_checkout_is_refused(tmp_path: Path, toolkit: str, file: str) -> None:
    assert f"no {file} in there" in refused(toolkit, tmp_path)


@pytest.mark.slow
def test_a_torchdistill_without_its_cache_of_files_is_refused(tmp_path: Path) -> None:
    for name, content in {
        "examples/torchvision/image_classification.py": "",
        "torchdistill/datasets/wrapper.py": "class BaseDatasetWrapper: ...",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(content)
    assert "has no cache of files; name a newer one" in refused("torchdistill", tmp_path)


@pytest.mark.slow
def test_what_kept_answers_cost_is_told_for_each_kind(tmp_path: Path) -> None:
    shown, kept = told(tmp_path, "answers", "--samples", "2560", "--pair", "small")
    assert "| logits, 100 classes | 2" in shown
    assert all(kind["bytes"] <= kind["planned"] for kind in kept["kinds"].values())


@pytest.mark.slow
def test_a_whole_job_is_told_of_with_who_answered_in_it(tmp_path: Path) -> None:
    words = ("--pair", "small", "--samples", "64", "--case", "1,1,1")
    shown, kept = told(tmp_path, "cost", *words)
    assert "| small | 1 | 1 | 1 | kept |" in shown
    assert set(kept["small"]["seconds"]) >= {"plain 1", "live 1"}
