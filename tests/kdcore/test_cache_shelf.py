"""How those who write and read teacher caches keep out of each other's way, and within a budget."""

import os
import pickle
import threading
import time
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
import torch
from test_teacher_cache import given, images, ready, run, warned

from kdcore import distill
from kdcore.events import Event
from kdcore.run import prepare_run
from kdcore.scribe import seconds_a_sample
from kdcore.teacher_cache import sheet as sheets
from kdcore.teacher_cache.about import About, SheetAbout
from kdcore.teacher_cache.cache import Cache
from kdcore.teacher_cache.shelf import Shelf

__all__ = ["given"]  # a fixture that both files use

FULL = {"use": "always", "dtype": "float32"}


def about(samples: int = 9000, **changes: object) -> SheetAbout:
    return SheetAbout.model_validate(
        {
            "part": "train",
            "view": None,
            "augmentation": None,
            "tap": "logits",
            "precision": "float32",
            "dtype": "float32",
            "samples": samples,
            "shape": [3],
            **changes,
        }
    )


def cache(root: Path, teacher: str = "a") -> Cache:
    said = About(
        teacher=teacher,
        model={},
        weights_sha256="b" * 64,
        data="digits",
        data_sha256="c" * 64,
        validation_size=0,
    )
    made = Cache(root, said.key())
    made.write_about(said)
    return made


def filled(where: Cache, name: str, size: int, used_at: float) -> Path:
    folder = where.folder / name
    folder.mkdir()
    (folder / "manifest.json").write_bytes(bytes(size))
    os.utime(folder / "manifest.json", (used_at, used_at))
    return folder


def troubles(events: list[Event]) -> set[str]:
    return {code for code in warned(events) if code.startswith("teacher_cache")}


def train_sheets(root: Path) -> list[Path]:
    return sorted(root.glob("*/train-*/manifest.json"))


def test_views_that_nobody_asks_for_any_more_make_way_for_new_ones_of_the_same_teacher(
    given, tmp_path
):
    root = tmp_path / "shelf"

    def shifted(pixels: int, folder: str, shelf: Shelf):
        how = {"augmentation": {"crop_padding": pixels, "views": 2}}
        return run(images(data=how, teacher_cache=FULL), tmp_path / folder, given, shelf)

    shifted(1, "first", Shelf(root))
    before = train_sheets(root)
    (made,) = Shelf(root).caches()
    freed = sum(made.bytes(path.parent.name) for path in before)
    needed = sum(sheets.size_of(made.manifest(path.parent.name).sheet) for path in before)
    shelf = Shelf(root, budget_bytes=made.size() - freed + needed)
    told = shifted(2, "second", shelf)
    assert [event.reason for event in ready(told)] == ["written"]
    assert not troubles(told)
    assert not [path for path in before if path.exists()]
    assert len(train_sheets(root)) == 2
    assert made.size() <= shelf.budget_bytes
    assert list(root.glob("*/test-logits-*/manifest.json")), "what this run has read is newer"


def test_the_sheets_of_a_teacher_make_way_oldest_first_and_beside_other_caches(tmp_path):
    shelf, ours, other = Shelf(tmp_path), cache(tmp_path), cache(tmp_path, "other")
    old, kept, new = (
        filled(ours, name, 1000, used_at)
        for name, used_at in (("old", 1), ("kept", 2), ("new", 2**40))
    )
    os.utime(other.folder / "about.json", (5, 5))
    (other.folder / "answers").write_bytes(bytes(1000))
    shelf = Shelf(tmp_path, ours.size() + other.size() + 10)
    with ours.using() as use:
        with shelf.room(ours, {"more": 900}, use=use, keep=["kept"]) as room:
            assert room == {"more"}
        assert not old.exists()
        assert other.folder.exists()
        with shelf.room(ours, {"more": 1900}, use=use, keep=["kept"]) as room:
            assert room == {"more"}
        assert not other.folder.exists()
        assert kept.exists()
        assert new.exists()
        with shelf.room(ours, {"more": 9900}, use=use, keep=["kept"]) as room:
            assert room is None
        assert new.exists(), "nothing goes for what would not fit all the same"


def test_what_this_run_has_read_does_not_make_way_for_its_other_stages(given, tmp_path):
    root = tmp_path / "shelf"
    recipe = images(teacher_cache=FULL)
    prepare_run(recipe, tmp_path / "first", given, 0, shelf=Shelf(root))
    (made,) = Shelf(root).caches()
    more = about(samples=10)
    cramped = Shelf(root, made.size() + sheets.size_of(more) - 100)
    reads = prepare_run(recipe, tmp_path / "second", given, 0, shelf=cramped)
    frozen = reads.frozen("teacher")
    with made.using() as use:
        with reads.archive.room(frozen, [more], use=use) as room:
            assert room is None
        with cramped.room(made, {"more": sheets.size_of(more)}, use=use) as room:
            assert room, "another run may have it go"


@pytest.mark.parametrize("why", ["read by another", "pinned", "not told that it is used"])
def test_sheets_that_may_be_read_or_are_pinned_do_not_make_way(why, tmp_path):
    ours = cache(tmp_path)
    old = filled(ours, "old", 1000, 1)
    shelf = Shelf(tmp_path, ours.size() + 10)
    ours.pin(pinned=why == "pinned")
    with ExitStack() as held:
        use = held.enter_context(ours.using())
        if why == "read by another":
            held.enter_context(ours.using())
        told = None if why == "not told that it is used" else use
        with shelf.room(ours, {"more": 900}, use=told) as room:
            assert room is None
    assert old.exists()


def test_who_made_sheets_go_still_reads_the_cache_afterwards(tmp_path):
    ours = cache(tmp_path)
    filled(ours, "old", 1000, 1)
    shelf = Shelf(tmp_path, ours.size() + 10)
    with ours.using() as use:
        with shelf.room(ours, {"more": 900}, use=use) as room:
            assert room == {"more"}
        assert not ours.is_free()
        with ours.using():
            pass
    assert ours.is_free()


def test_two_who_want_different_views_write_at_once_and_the_same_view_is_written_once(tmp_path):
    shelf, ours = Shelf(tmp_path), cache(tmp_path)
    with shelf.room(ours, {"view0": 100, "view1": 100}) as first:
        assert first == {"view0", "view1"}
        with shelf.room(ours, {"view1": 100, "view2": 100}) as second:
            assert second == {"view2"}
        with shelf.room(ours, {"view0": 100}) as third:
            assert third == frozenset(), "somebody else writes it: there is nothing to do but wait"
    with shelf.room(ours, {"view0": 100}) as later:
        assert later == {"view0"}


def test_a_run_waits_for_views_of_another_and_writes_its_own_meanwhile(given, tmp_path):
    shelf = Shelf(tmp_path / "shelf")

    def recipe(views: int):
        how = {"augmentation": {"crop_padding": 1, "views": views}}
        return images(data=how, teacher_cache=FULL)

    told, shown = [], threading.Event()

    def second() -> None:
        for event in distill(recipe(3), tmp_path / "b", inputs=given, shelf=shelf):
            told.append(event)
            if event.type == "answers.progress" and event.waiting:
                shown.set()

    with closing(distill(recipe(2), tmp_path / "a", inputs=given, shelf=shelf)) as first:
        next(event for event in first if event.type == "answers.progress")
        other = threading.Thread(target=second, daemon=True)
        other.start()
        assert shown.wait(60), "it waits for two views"
        written = [path.parent.name for path in train_sheets(shelf.root)]
        assert [name[:11] for name in written] == ["train-view2"], "and has written the third"
        for _ in first:
            pass
    other.join()
    assert [event.reason for event in ready(told)] == ["written"]
    run(recipe(3), tmp_path / "alone", given)
    assert (tmp_path / "b/stages/student-0.safetensors").read_bytes() == (
        tmp_path / "alone/stages/student-0.safetensors"
    ).read_bytes()


def test_a_sheets_seconds_are_those_of_all_attempts_that_wrote_it(tmp_path, monkeypatch):
    clock = iter(range(10_000))
    monkeypatch.setattr(sheets.time, "monotonic", lambda: float(next(clock)))
    ours, wanted = cache(tmp_path), about(samples=9000)

    def answer(index: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"logits": torch.zeros(len(index), 3)}

    with closing(sheets.write_sheets(ours, [wanted], answer)) as writing:
        next(done for done in writing if done > 5000)  # one shard of 4096, and what is lost
    for _ in sheets.write_sheets(ours, [wanted], answer):
        pass
    manifest = ours.manifest(wanted.name())
    assert manifest.seconds == -(-9000 // sheets.BATCH)
    assert ours.listed().seconds == manifest.seconds


@pytest.mark.parametrize("top_k", [None, 2])
def test_mapped_shards_say_what_one_in_memory_says_whatever_is_asked_in_which_order(
    top_k, tmp_path
):
    ours, wanted = cache(tmp_path), about(samples=9000, top_k=top_k)
    said = torch.randn(9000, 3, generator=torch.Generator().manual_seed(0))
    for _ in sheets.write_sheets(ours, [wanted], lambda index: {"logits": said[index]}):
        pass
    cpu = torch.device("cpu")
    mapped, resident = (
        sheets.open_sheet(ours, wanted, cpu, resident=resident) for resident in (False, True)
    )
    assert (len(mapped.shards), len(resident.shards)) == (3, 1)
    for index in ([8999, 0, 4096, 4095, 0, 8191, 8192], [5], [4096, 4097], [8998, 3, 2, 8999]):
        asked = torch.tensor(index)
        assert torch.equal(mapped[asked], resident[asked])
        if top_k is None:
            assert torch.equal(mapped[asked], said[asked])


def test_the_digests_of_an_earlier_version_are_read(tmp_path):
    ours, wanted = cache(tmp_path), about(samples=9000)
    asked: list[int] = []

    def answer(index: torch.Tensor) -> dict[str, torch.Tensor]:
        asked.append(len(index))
        return {"logits": torch.zeros(len(index), 3)}

    for _ in sheets.write_sheets(ours, [wanted], answer):
        pass
    for digest in (ours.folder / wanted.name()).glob("*.sha256"):
        digest.write_text(digest.read_text().split()[0])
    asked.clear()
    for _ in sheets.write_sheets(ours, [wanted], answer):
        pass
    assert not asked
    assert sheets.check_sheet(ours, wanted) is None


@pytest.mark.parametrize(
    ("part", "way"),
    [("test", "given"), ("validation", "given"), ("test", "finished"), ("test", "trained")],
)
def test_damage_to_what_was_said_of_the_images_as_they_are_is_told_as_well(
    part, way, given, tmp_path
):
    shelf = Shelf(tmp_path / "shelf")
    recipe = images(data={"augmentation": {"horizontal_flip": way == "trained"}})
    if way == "trained":  # and asked in every step
        teacher = recipe.teacher.model_copy(update={"weights": None})
        recipe = recipe.model_copy(update={"teacher": teacher})
    whole = run(recipe, tmp_path / "first", given, shelf)
    (shard,) = shelf.root.glob(f"*/{part}-logits-*/00000.safetensors")
    shard.write_bytes(shard.read_bytes()[:-9])
    again = "first" if way == "finished" else "second"
    told = run(recipe, tmp_path / again, given, shelf)
    messages = [event.message for event in told if event.type == "warning"]
    assert len([message for message in messages if message.startswith(f"{part}-logits-")]) == 1
    assert not troubles(whole)
    assert not troubles(run(recipe, tmp_path / "third", given, shelf)), "it was written anew"


def test_the_pace_of_a_teacher_is_taken_when_its_answers_are_there():
    """As on a GPU, where asking returns before anything is computed."""
    computed = threading.Event()

    class Promised:
        def cpu(self) -> None:
            time.sleep(0.05)
            computed.set()

    pace = seconds_a_sample(lambda _: {"logits": Promised()}, samples=10)
    assert computed.is_set()
    assert pace >= 0.05 / 10


@pytest.mark.parametrize("resident", [False, True])
def test_an_open_sheet_is_handed_to_another_process_by_its_place(resident, tmp_path):
    ours, wanted = cache(tmp_path), about(samples=9000)
    said = torch.randn(9000, 3, generator=torch.Generator().manual_seed(0))
    for _ in sheets.write_sheets(ours, [wanted], lambda index: {"logits": said[index]}):
        pass
    sheet = sheets.open_sheet(ours, wanted, torch.device("cpu"), resident=resident)
    handed = pickle.dumps(sheet)
    assert len(handed) < 4096, "not what is in it"
    asked = torch.tensor([8999, 0, 5])
    again = pickle.loads(handed)  # noqa: S301  # ours
    assert torch.equal(again[asked], said[asked])
    assert len(again.shards) == len(sheet.shards)
