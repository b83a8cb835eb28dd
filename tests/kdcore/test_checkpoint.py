"""Checkpoints are whole or absent, whatever goes wrong while they are written."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from kdcore import checkpoint
from kdcore.errors import CheckpointError, DiskFullError

STATE = {"weights": torch.arange(6.0), "step": 3}


def save(folder: Path, *steps: int, keep: int = 2) -> None:
    for step in steps:
        checkpoint.save(folder, step, {**STATE, "step": step}, "d", keep=keep)


@pytest.mark.parametrize("keep", [1, 2, 5])
def test_the_newest_is_read_back_and_older_ones_are_removed(tmp_path, keep):
    save(tmp_path, *range(1, 8), keep=keep)
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert kept == [f"step-{step:09d}" for step in range(8 - keep, 8)]
    found = checkpoint.latest(tmp_path, "d")
    assert found.state is not None
    assert (found.step, found.state["step"], found.damaged) == (7, 7, ())
    assert torch.equal(found.state["weights"], STATE["weights"])


def test_there_may_be_none(tmp_path):
    assert checkpoint.latest(tmp_path / "absent", "d") == checkpoint.Found(0, None, ())


def test_one_of_another_run_is_refused(tmp_path):
    save(tmp_path, 1)
    with pytest.raises(CheckpointError):
        checkpoint.latest(tmp_path, "yours")


def damage(folder: Path, how: str) -> None:
    state, manifest = folder / "state.pt", folder / "manifest.json"
    match how:
        case "truncated":
            os.truncate(state, 100)
        case "emptied":
            os.truncate(state, 0)
        case "flipped bit":
            content = bytearray(state.read_bytes())
            content[len(content) // 2] ^= 1
            state.write_bytes(content)
        case "half a manifest":
            os.truncate(manifest, manifest.stat().st_size // 2)
        case "no manifest":
            manifest.unlink()
        case "manifest of another step":
            manifest.write_text(manifest.read_text().replace('"step": 2', '"step": 1'))
        case "manifest without a digest":
            manifest.write_text('{"step": 2, "digest": "d", "sha256": null}')
        case "manifest that is no object":
            manifest.write_text("[1]")
        case "nothing in it":
            state.unlink()
            manifest.unlink()
        case _:
            state.unlink()


DAMAGES = [
    "truncated",
    "emptied",
    "flipped bit",
    "half a manifest",
    "no manifest",
    "manifest of another step",
    "manifest without a digest",
    "manifest that is no object",
    "nothing in it",
    "no state",
]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_one_is_set_aside_for_the_one_before(tmp_path, how):
    save(tmp_path, 1, 2)
    damage(tmp_path / "step-000000002", how)
    found = checkpoint.latest(tmp_path, "d")
    assert (found.step, found.damaged) == (1, (2,))
    assert (tmp_path / "step-000000002.bad").exists()
    (told,) = found.cautions("teacher")
    assert "teacher at step 2 is damaged" in told.message
    assert "step 1" in told.message
    again = checkpoint.latest(tmp_path, "d")
    assert (again.step, again.damaged) == (1, ()), "it is told once"
    save(tmp_path, 2)  # the same step is reached again
    assert checkpoint.latest(tmp_path, "d").step == 2


def test_where_all_are_damaged_the_stage_begins_anew(tmp_path):
    save(tmp_path, 1, 2, 3, keep=3)
    for step, how in ((1, "truncated"), (2, "flipped bit"), (3, "no manifest")):
        damage_at = tmp_path / f"step-{step:09d}"
        (damage_at / "manifest.json").write_text("{") if step == 2 else damage(damage_at, how)
    found = checkpoint.latest(tmp_path, "d")
    assert (found.step, found.state, found.damaged) == (0, None, (3, 2, 1))
    assert all("the start of the stage" in told.message for told in found.cautions("teacher"))


def test_what_a_killed_writer_left_is_removed(tmp_path):
    save(tmp_path, 1)
    (tmp_path / "step-000000002.tmp").mkdir()
    (tmp_path / "step-000000002.tmp/state.pt").write_bytes(b"half")
    assert checkpoint.latest(tmp_path, "d").step == 1
    assert [path.name for path in tmp_path.iterdir()] == ["step-000000001"]


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS]
)
@pytest.mark.parametrize("call", range(1, 6))
def test_a_disk_that_refuses_leaves_the_one_before_and_nothing_else(
    tmp_path, monkeypatch, number, call
):
    """Each flush of a save in turn: the state, the manifest and its folder, the folder, its own."""
    save(tmp_path, 1)
    flush, calls = os.fsync, 0

    def refuse(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(DiskFullError) as refused:
        save(tmp_path, 2)
    monkeypatch.undo()
    assert refused.value.code == "disk_full"
    if number in {errno.EIO, errno.EROFS}:
        assert os.strerror(number) in str(refused.value)
    names = {path.name for path in tmp_path.iterdir()}
    # What was renamed and could not be flushed is whole, and may be there after a power loss.
    assert names - {"step-000000002"} == {"step-000000001"}
    assert call == 5 or names == {"step-000000001"}
    assert checkpoint.latest(tmp_path, "d").damaged == ()


def test_a_file_size_limit_is_a_full_disk(tmp_path):
    """With the real writer of torch and the real refusal of the system."""
    script = f"""
import resource, signal, torch
from pathlib import Path
from kdcore import checkpoint
from kdcore.errors import DiskFullError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
folder = Path({str(tmp_path)!r})
checkpoint.save(folder, 1, {{"small": torch.zeros(10)}}, "d", keep=2)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    checkpoint.save(folder, 2, {{"big": torch.zeros(100_000)}}, "d", keep=2)
except DiskFullError as error:
    print(error.code, [path.name for path in folder.iterdir()])
print(checkpoint.latest(folder, "d").step)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert done.stdout == "disk_full ['step-000000001']\n1\n", done.stderr


KILLED = """
import os, random, signal, sys, time, torch
from pathlib import Path
from kdcore import checkpoint

folder, kills, choose = Path(sys.argv[1]), int(sys.argv[2]), random.Random(5)
torch.set_num_threads(1)
state = lambda step: {"x": torch.full((50_000,), float(step)), "step": step}
step = promised = 0
for _ in range(kills):
    told, tell = os.pipe()
    if (writer := os.fork()) == 0:
        while True:
            step += 1
            checkpoint.save(folder, step, state(step), "d", keep=2)
            os.write(tell, step.to_bytes(4))
    os.close(tell)
    promised = int.from_bytes(os.read(told, 4))
    time.sleep(choose.uniform(0, 0.012))
    os.kill(writer, signal.SIGKILL)
    os.waitpid(writer, 0)
    while more := os.read(told, 4):
        promised = int.from_bytes(more)
    os.close(told)
    found = checkpoint.latest(folder, "d")
    assert found.state is not None, "unreadable"
    assert found.damaged == (), f"damaged {found.damaged}"
    assert found.step >= promised, f"found {found.step}, promised {promised}"
    assert found.state["step"] == float(found.state["x"][0]) == found.step
    step = found.step
print(kills, "kills", step, "steps")
"""


@pytest.mark.slow
def test_killed_while_writing_the_newest_whole_one_is_never_lost(tmp_path):
    """A writer is killed 150 times, each time anywhere between two saves or in the midst of one."""
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "150"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.stdout.startswith("150 kills"), done.stderr
