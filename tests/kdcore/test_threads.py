"""How many threads a run computes with: what was asked for, within what there is room for."""

from contextlib import closing
from pathlib import Path

import pytest
import torch
from recipes import tiny

from kdcore.cores import usable_cores
from kdcore.events import RunStarted, StageProgress, Warned
from kdcore.runtime import Threads
from kdcore.story import distill


@pytest.mark.parametrize(
    ("own", "files", "cores"),
    [
        ("0::/", {"cpu.max": "max 100000"}, 6),
        ("0::/", {"cpu.max": "150000 100000"}, 1),
        ("0::/pod/box", {"pod/cpu.max": "250000 100000", "pod/box/cpu.max": "max 100000"}, 2),
        ("0::/of/the/host", {"cpu.max": "300000 100000"}, 3),
        ("0::/", {"cpu.max": "50000 100000"}, 1),
        ("0::/", {"cpu.max": "nonsense"}, 6),
        (
            "5:memory:/x\n2:cpu,cpuacct:/pod",
            {"cpu/pod/cpu.cfs_quota_us": "200000", "cpu/pod/cpu.cfs_period_us": "100000"},
            2,
        ),
        (
            "2:cpu:/",
            {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"},
            6,
        ),
        ("", {}, 6),
    ],
    ids=str,
)
def test_cores_are_those_that_mask_and_quotas_leave(
    own: str, files: dict[str, str], cores: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(6)), raising=False)
    (tmp_path / "own").write_text(own)
    for name, text in files.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    assert usable_cores(tmp_path / "cgroup", tmp_path / "own") == cores


@pytest.mark.parametrize(
    ("asked", "share", "before", "number", "warned"),
    [
        (1, 4, None, 1, []),
        (1, 1, 1, 1, []),
        (8, 4, None, 4, ["threads_bounded"]),
        (8, None, None, 8, []),
        ("auto", 4, None, 4, []),
        ("auto", 4, 2, 2, []),
        ("auto", 1, 2, 1, ["threads_changed"]),
        (8, 4, 2, 2, ["threads_bounded"]),
        (8, 1, 4, 1, ["threads_bounded", "threads_changed"]),
    ],
)
def test_a_run_has_the_threads_it_asked_for_or_began_with_if_there_is_room(
    asked: int | str, share: int | None, before: int | None, number: int, warned: list[str]
) -> None:
    threads = Threads(asked, share, before)
    assert threads.number == number
    assert [warning.code for warning in threads.cautions()] == warned


def test_auto_is_all_usable_cores_where_nobody_bounds_it() -> None:
    assert Threads("auto", None, None).number == usable_cores()


def test_a_run_that_goes_on_keeps_its_threads_or_says_so(tmp_path: Path) -> None:
    recipe = tiny(runtime={"device": "cpu", "threads": "auto"}, training={"max_steps": 4})

    def begin(share: int) -> tuple[int, list[str], int]:
        codes: list[str] = []
        told = 0
        with closing(distill(recipe, tmp_path, report_every=0, max_threads=share)) as events:
            for event in events:
                if isinstance(event, RunStarted):
                    told = event.threads
                if isinstance(event, Warned):
                    codes.append(event.code)
                if isinstance(event, StageProgress):
                    break
        return told, codes, torch.get_num_threads()

    before = torch.get_num_threads()
    try:
        assert begin(2) == (2, [], 2)
        assert begin(4) == (2, [], 2)
        assert begin(1) == (1, ["threads_changed"], 1)
        assert begin(4) == (1, [], 1)
    finally:
        torch.set_num_threads(before)
