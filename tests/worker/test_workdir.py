"""An attempt's folder takes over what earlier ones completed, and shares no name with them."""

import os
from pathlib import Path

import pytest

from worker.workdir import prepare_workdir


def test_the_newest_earlier_attempt_is_taken_over_without_its_loose_ends(tmp_path: Path) -> None:
    first = prepare_workdir(tmp_path, "job", 1, [])
    for name in ("stages/teacher.json", "checkpoints/s/step-1/state.pt", "x.tmp"):
        (first / name).parent.mkdir(parents=True, exist_ok=True)
        (first / name).write_text(name)
    (first / "checkpoints" / "s" / "step-2.tmp").mkdir()
    (first / "link").symlink_to("/etc/passwd")
    third = prepare_workdir(tmp_path, "job", 3, [2, 1])  # the second never got a folder
    found = {str(path.relative_to(third)) for path in third.rglob("*") if path.is_file()}
    assert found == {"stages/teacher.json", "checkpoints/s/step-1/state.pt"}
    assert not (third / "checkpoints" / "s" / "step-2.tmp").exists()
    assert (third / "stages/teacher.json").samefile(first / "stages/teacher.json")


def test_a_stale_trainer_that_replaces_its_files_does_not_touch_the_new_attempt(
    tmp_path: Path,
) -> None:
    first = prepare_workdir(tmp_path, "job", 1, [])
    (first / "state").write_text("old")
    second = prepare_workdir(tmp_path, "job", 2, [1])
    (first / "state.tmp").write_text("from the dead")
    (first / "state.tmp").replace(first / "state")
    assert (second / "state").read_text() == "old"


def test_a_folder_that_was_half_furnished_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = prepare_workdir(tmp_path, "job", 1, [])
    for name in ("one", "two", "three"):
        (first / name).write_text(name)
    real, linked = os.link, list[Path]()

    def link_two(source: Path, target: Path) -> None:
        linked.append(target)
        if len(linked) == 3:
            raise KeyboardInterrupt  # as sudden as a kill
        real(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "link", link_two)
        with pytest.raises(KeyboardInterrupt):
            prepare_workdir(tmp_path, "job", 2, [1])
    third = prepare_workdir(tmp_path, "job", 3, [2, 1])
    assert sorted(path.name for path in third.iterdir()) == ["one", "three", "two"]


def test_a_retry_from_scratch_starts_empty(tmp_path: Path) -> None:
    prepare_workdir(tmp_path, "job", 1, []).joinpath("old").write_text("")
    assert list(prepare_workdir(tmp_path, "job", 2, []).iterdir()) == []
