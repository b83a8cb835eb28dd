"""Teacher caches over HTTP: listed, pinned, removed; nothing else is reached through them."""

import fcntl
import os
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from jobs.settings import Settings
from kdcore.teacher_cache.about import About, Manifest, SheetAbout
from kdcore.teacher_cache.cache import Cache
from kdcore.teacher_cache.locks import locked
from kdcore.teacher_cache.shelf import Shelf

SHEET = SheetAbout(
    part="train",
    view=None,
    augmentation=None,
    tap="logits",
    precision="float32",
    dtype="float16",
    samples=3,
    shape=[10],
)


def stored(settings: Settings, weights: str = "a") -> Cache:
    about = About(
        teacher="resnet56",
        model={"name": "resnet", "depth": 56},
        weights_sha256=weights * 64,
        data="digits",
        data_sha256="b" * 64,
        validation_size=0,
    )
    cache = Shelf(settings.teacher_caches).cache(about.key())
    cache.write_about(about)
    folder = cache.folder / SHEET.name()
    folder.mkdir()
    (folder / "00000.safetensors").write_bytes(bytes(1000))
    manifest = Manifest(sheet=SHEET, rows=4096, shards=["c" * 64], seconds=2.5)
    (folder / "manifest.json").write_text(manifest.model_dump_json())
    return cache


def room_for(shelf: Shelf, cache: Cache, size: int) -> bool:
    with shelf.room(cache, {"new": size}) as room:
        return room is not None


def test_an_empty_shelf_is_an_empty_list_and_names_its_budget(client: TestClient, settings):
    body = client.get("/v1/teacher-caches").json()
    assert (body["data"], body["bytes"]) == ([], 0)
    assert body["budget_bytes"] == settings.teacher_cache_bytes


def test_a_cache_tells_whose_answers_it_holds_and_what_they_take(client: TestClient, settings):
    cache = stored(settings)
    (listed,) = client.get("/v1/teacher-caches").json()["data"]
    assert listed == client.get(f"/v1/teacher-caches/{cache.key}").json()
    assert (listed["teacher"], listed["data"], listed["seconds"]) == ("resnet56", "digits", 2.5)
    assert listed["bytes"] > 1000
    assert [sheet["part"] for sheet in listed["sheets"]] == ["train"]
    assert (listed["pinned"], listed["in_use"]) == (False, False)
    tag = client.get("/v1/teacher-caches").headers["etag"]
    assert client.get("/v1/teacher-caches", headers={"If-None-Match": tag}).status_code == 304


def test_a_pinned_cache_is_not_removed_until_it_is_unpinned(client: TestClient, settings):
    path = f"/v1/teacher-caches/{stored(settings).key}"
    assert client.patch(path, json={"pinned": True}).json()["pinned"] is True
    refused = client.delete(path)
    assert (refused.status_code, refused.json()["code"]) == (409, "teacher_cache_busy")
    assert "unpin" in refused.json()["hint"]
    assert client.patch(path, json={"pinned": False}).json()["pinned"] is False
    assert client.delete(path).status_code == 204
    assert client.get(path).status_code == 404
    assert client.delete(path).json()["code"] == "teacher_cache_not_found"


def test_a_cache_that_a_job_reads_is_not_removed(client: TestClient, settings):
    cache = stored(settings)
    path = f"/v1/teacher-caches/{cache.key}"
    with locked(cache.root, f"{cache.key}.use", fcntl.LOCK_SH):
        assert client.get(path).json()["in_use"] is True
        assert client.delete(path).status_code == 409
    assert client.delete(path).status_code == 204


@pytest.mark.parametrize(
    "key",
    ["..", "%2e%2e", "locks", "A" * 32, "a" * 31, "..%2f..%2fledger.sqlite3", "a" * 32 + "%0a"],
)
def test_a_key_that_can_be_none_is_refused_and_leads_nowhere(key, client: TestClient, settings):
    stored(settings)
    assert len(client.get("/v1/teacher-caches").json()["data"]) == 1
    for answer in (
        client.get(f"/v1/teacher-caches/{key}"),
        client.delete(f"/v1/teacher-caches/{key}"),
    ):
        assert answer.status_code in {404, 405, 422}
        assert answer.headers["content-type"].startswith("application/problem+json")
    assert Path(settings.teacher_caches, "locks").is_dir()
    assert len(client.get("/v1/teacher-caches").json()["data"]) == 1


@pytest.mark.parametrize("body", [{}, {"pinned": "yes"}, {"pinned": True, "x": 1}, []])
def test_a_pin_that_says_nothing_is_refused_with_a_pointer(body, client: TestClient, settings):
    refused = client.patch(f"/v1/teacher-caches/{stored(settings).key}", json=body)
    assert refused.status_code == 422
    assert refused.json()["errors"]


def test_the_oldest_unused_cache_makes_way_and_a_pinned_one_does_not(settings):
    old, new = stored(settings, "1"), stored(settings, "2")
    os.utime(old.folder / "about.json", (1, 1))
    shelf = Shelf(settings.teacher_caches, budget_bytes=old.size() + new.size() + 100)
    wanted = shelf.cache("f" * 32)
    old.pin(pinned=True)
    assert room_for(shelf, wanted, 500)
    assert old.folder.exists()
    assert not new.folder.exists()
    assert not room_for(shelf, wanted, 5000), "more than could ever be made free"


def test_nothing_is_removed_for_what_would_not_fit_all_the_same(settings):
    kept, other = stored(settings, "1"), stored(settings, "2")
    kept.pin(pinned=True)
    shelf = Shelf(settings.teacher_caches, budget_bytes=kept.size() + other.size() + 10)
    assert not room_for(shelf, shelf.cache("f" * 32), other.size() + 11)
    assert other.folder.exists()


def test_two_who_write_at_once_share_one_budget(settings):
    one, two = stored(settings, "1"), stored(settings, "2")
    shelf = Shelf(settings.teacher_caches, budget_bytes=one.size() + two.size() + 100_000)
    with one.using(), two.using(), shelf.room(one, {"new": 60_000}) as room:
        assert room == {"new"}
        assert not room_for(shelf, two, 60_000)
        (one.folder / "new").mkdir()
        (one.folder / "new/00000.safetensors").write_bytes(bytes(50_000))
        assert room_for(shelf, two, 30_000), "what is written is not counted twice"
    assert room_for(shelf, two, 45_000), "nobody writes there any more"


def test_what_a_killed_removal_left_is_no_cache_and_goes_with_the_next_need(client, settings):
    left = settings.teacher_caches / "gone" / "x"
    left.mkdir(parents=True)
    (left / "about.json").write_text("{}")
    assert client.get("/v1/teacher-caches").json()["data"] == []
    assert room_for(Shelf(settings.teacher_caches), stored(settings), 10)
    assert not left.exists()
