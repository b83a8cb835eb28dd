"""Checkpoints are whole or absent, whatever goes wrong while they are written."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kdcore import checkpoint
from kdcore.errors import CheckpointError, DiskFullError

STATE = {"weights": torch.arange(6.0), "step": 3}


def test_the_newest_is_read_back_and_older_ones_are_removed(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, step, {**STATE, "step": step}, "d")
    assert len(list(tmp_path.iterdir())) == checkpoint.KEPT
    found = checkpoint.latest(tmp_path, "d")
    assert found is not None
    step, state = found
    assert (step, state["step"]) == (3, 3)
    assert torch.equal(state["weights"], STATE["weights"])


def test_there_may_be_none(tmp_path):
    assert checkpoint.latest(tmp_path / "absent", "d") is None


def test_one_of_another_run_is_refused(tmp_path):
    checkpoint.save(tmp_path, 1, STATE, "mine")
    with pytest.raises(CheckpointError):
        checkpoint.latest(tmp_path, "yours")


@pytest.mark.parametrize("damage", ["truncate", "flip", "manifest", "missing"])
def test_a_damaged_one_is_set_aside_for_the_one_before(tmp_path, damage):
    checkpoint.save(tmp_path, 1, STATE, "d")
    checkpoint.save(tmp_path, 2, STATE, "d")
    newest = tmp_path / "step-000000002"
    match damage:
        case "truncate":
            os.truncate(newest / "state.pt", 100)
        case "flip":
            content = bytearray((newest / "state.pt").read_bytes())
            content[-1] ^= 1
            (newest / "state.pt").write_bytes(content)
        case "manifest":
            (newest / "manifest.json").write_text("{")
        case _:
            (newest / "state.pt").unlink()
    found = checkpoint.latest(tmp_path, "d")
    assert found is not None
    assert found[0] == 1
    assert (tmp_path / "step-000000002.bad").exists()


def test_a_full_disk_leaves_the_one_before_and_nothing_else(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, STATE, "d")

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError):
        checkpoint.save(tmp_path, 2, STATE, "d")
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


def test_a_file_size_limit_is_a_full_disk(tmp_path):
    """With the real writer of torch and the real refusal of the system."""
    script = f"""
import resource, signal, torch
from pathlib import Path
from kdcore import checkpoint
from kdcore.errors import DiskFullError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
folder = Path({str(tmp_path)!r})
try:
    checkpoint.save(folder, 1, {{"big": torch.zeros(100_000)}}, "d")
except DiskFullError:
    print("named", list(folder.iterdir()))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "named []\n", done.stderr


@pytest.mark.slow
def test_killed_while_writing_the_newest_whole_one_is_never_lost(tmp_path):
    script = f"""
import torch
from pathlib import Path
from kdcore import checkpoint
print("ready", flush=True)
for step in range(1, 100_000):
    checkpoint.save(Path({str(tmp_path)!r}), step, {{"x": torch.full((50_000,), float(step))}}, "d")
    print(step, flush=True)
"""
    for reads in (3, 5, 9, 14):
        child = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(reads)]
        child.send_signal(signal.SIGKILL)
        promised = int((lines + child.communicate()[0].splitlines())[-1])
        found = checkpoint.latest(tmp_path, "d")
        assert found is not None
        assert found[0] >= promised
        assert float(found[1]["x"][0]) == found[0]
        for path in Path(tmp_path).iterdir():
            assert not path.name.endswith(".bad")
            for file in path.iterdir():
                file.unlink()
            path.rmdir()
