"""`stillhouse teacher-caches`: what is kept is listed, shown, pinned and deleted."""

from __future__ import annotations

import fcntl
import itertools
from collections.abc import Iterator

import pytest
from stand import Cli, Server, free_port, run_cli
from stillhouse import Client
from stillhouse.errors import ApiError
from test_client_catalogue import shown

from jobs.settings import Settings
from kdcore.teacher_cache.about import About, Manifest, SheetAbout
from kdcore.teacher_cache.cache import Cache
from kdcore.teacher_cache.locks import locked
from kdcore.teacher_cache.shelf import Shelf

NUMBERS = itertools.count()
VERBS = ["list", "show", "pin", "unpin", "delete"]


@pytest.fixture
def cache(server: Server) -> Iterator[Cache]:
    """A cache of two views and the test part, on the session's server; it alone."""
    about = About(
        teacher="resnet56",
        model={"name": "resnet", "depth": 56},
        weights_sha256=f"{next(NUMBERS):064x}",
        data="[bold]digits[/bold]",
        data_sha256="b" * 64,
        validation_size=7,
    )
    shelf = Shelf(Settings(data=server.data).teacher_caches)
    made = shelf.cache(about.key())
    made.write_about(about)
    for view in (None, 0, 1):
        sheet = SheetAbout(
            part="test" if view is None else "train",
            view=view,
            augmentation=None if view is None else {"crop_padding": 2, "mixup": 0.2, "cutmix": 0.0},
            tap="logits",
            precision="float32",
            dtype="float16",
            samples=1500,
            shape=[10],
        )
        folder = made.folder / sheet.name()
        folder.mkdir()
        (folder / "00000.safetensors").write_bytes(bytes(1000))
        manifest = Manifest(sheet=sheet, rows=4096, shards=["c" * 64], seconds=2.5)
        (folder / "manifest.json").write_text(manifest.model_dump_json())
    yield made
    made.pin(pinned=False)
    shelf.remove(made.key)


def test_the_list_tells_whose_answers_are_kept_and_what_they_take(cli: Cli, cache: Cache) -> None:
    said = cli("teacher-caches", "list")
    assert said.code == 0
    (line,) = [line for line in said.out.splitlines() if cache.key in line]
    for words in ("resnet56", "[bold]digits[/bold]", " 3 ", "kB", "7.5 s", " ago"):
        assert words in line
    assert "of 21.5 GB" in said.err
    listed = cli("teacher-caches", "list", "--json").json
    assert [one["key"] for one in listed["data"]] == [cache.key]
    assert listed["budget_bytes"] == 20 * 2**30


def test_an_empty_list_is_no_error(cli: Cli) -> None:
    said = cli("teacher-caches", "list", "--json")
    assert (said.code, said.json["data"]) == (0, [])
    assert cli("teacher-caches", "list").code == 0


def test_one_cache_is_shown_with_its_views_together(cli: Cli, cache: Cache) -> None:
    said = shown(cli("teacher-caches", "show", cache.key).out)
    assert f"key  {cache.key}" in said
    assert "data  [bold]digits[/bold]" in said
    assert "validation samples  7" in said
    assert "train  2  crop_padding 2, mixup 0.2  logits  1,500  10  float16  float32" in said
    assert "test  as it is  -  logits" in said
    assert cli("teacher-caches", "show", cache.key, "--json").json["key"] == cache.key


def test_a_pinned_cache_is_not_deleted_until_it_is_unpinned(cli: Cli, cache: Cache) -> None:
    assert cli("teacher-caches", "pin", cache.key).out.split() == [cache.key, "pinned"]
    assert cache.pinned
    assert "pinned" in cli("teacher-caches", "list").out
    refused = cli("teacher-caches", "delete", cache.key, "--json")
    assert refused.code == 1
    assert refused.json["error"]["code"] == "teacher_cache_busy"
    assert "unpin it" in refused.err
    let_go = cli("teacher-caches", "unpin", cache.key, "--json")
    assert let_go.json["pinned"] is False
    assert not cache.pinned
    assert cli("teacher-caches", "delete", cache.key).out.split() == [cache.key, "deleted"]
    assert not cache.folder.exists()


def test_a_cache_that_a_job_reads_is_told_of_and_not_deleted(cli: Cli, cache: Cache) -> None:
    with locked(cache.root, f"{cache.key}.use", fcntl.LOCK_SH):
        assert "in use" in cli("teacher-caches", "show", cache.key).out
        assert cli("teacher-caches", "delete", cache.key).code == 1
    deleted = cli("teacher-caches", "delete", cache.key, "--json")
    assert deleted.json == {"key": cache.key, "deleted": True}


@pytest.mark.parametrize("verb", VERBS[1:])
@pytest.mark.parametrize("key", ["a" * 32, "no key", "../jobs"])
def test_a_key_that_is_none_says_2(verb: str, key: str, cli: Cli) -> None:
    said = cli("teacher-caches", verb, key, "--json")
    assert said.code == 2
    assert said.json["error"]["status"] in {404, 422}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_says_69_when_nobody_is_there(verb: str) -> None:
    arguments = ["teacher-caches", verb, *(["a" * 32] if verb != "list" else [])]
    said = run_cli(*arguments, "--json", "--url", f"http://127.0.0.1:{free_port()}")
    assert said.code == 69
    assert said.json["error"]["code"] == "Unreachable"


def test_the_python_client_does_likewise(client: Client, cache: Cache) -> None:
    caches = client.teacher_caches
    assert [one["key"] for one in caches.list()] == [cache.key]
    assert caches.pin(cache.key)["pinned"]
    with pytest.raises(ApiError, match="is pinned"):
        caches.delete(cache.key)
    assert not caches.pin(cache.key, pinned=False)["pinned"]
    caches.delete(cache.key)
    with pytest.raises(ApiError, match="there is no teacher cache"):
        caches.get(cache.key)
