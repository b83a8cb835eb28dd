"""An archive that anybody may have made is read, or refused in clear words before it does harm.

Beside it, test_image_folder_refused.py spoils archives of whole data sets.
"""

import os
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from hostile_zips import HOSTILE
from zips import changed, plain, raw

from kdcore.errors import DataError
from kdcore.reading import trees, zip_files
from kdcore.reading.trees import open_tree


def longer_than_told() -> bytes:
    content = plain(("a.png", b"x" * 5000))
    return content.replace((5000).to_bytes(4, "little"), (4000).to_bytes(4, "little"))


def shorter_than_told() -> bytes:
    content = plain(("a.png", b"x" * 5000))
    return content.replace((5000).to_bytes(4, "little"), (6000).to_bytes(4, "little"))


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_archive_is_refused_when_it_is_opened(tmp_path, case):
    content, words = HOSTILE[case]
    (tmp_path / "it.zip").write_bytes(content if isinstance(content, bytes) else content())
    with pytest.raises(DataError) as caught, open_tree(tmp_path, "it.zip"):
        pass
    assert words in str(caught.value)
    assert str(caught.value).startswith("it.zip: ")
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.hint
    assert str(caught.value).isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["it.zip"]  # nothing is unpacked


DAMAGED = {
    "longer than it says": (longer_than_told, "is damaged"),
    "shorter than it says": (shorter_than_told, "unpacks to 5,000 bytes; its entry says 6,000"),
    "another checksum": (
        lambda: changed(plain(("a.png", b"x" * 50), packed=False), b"xxx", b"xyx"),
        "is damaged (Bad CRC-32",
    ),
    "no deflate": (
        lambda: raw((b"a.png", b"\xff" * 20), method=8, size=20),
        "is damaged",
    ),
    "another name in its own header": (
        lambda: changed(plain(("a.png", b"x")), b"a.png", b"b.png"),
        "is damaged (File name in directory",
    ),
    "no header of its own": (
        lambda: changed(plain(("a.png", b"x")), b"PK\x03\x04", b"PK\x03\x05"),
        "is damaged",
    ),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_an_entry_that_is_not_what_the_directory_says_is_refused_when_it_is_read(tmp_path, case):
    content, words = DAMAGED[case]
    (tmp_path / "it.zip").write_bytes(content())
    with (
        open_tree(tmp_path, "it.zip") as tree,
        pytest.raises(DataError) as caught,
    ):
        tree.read("a.png")
    assert words in str(caught.value)
    assert "a.png" in str(caught.value)


def test_a_bomb_that_hides_its_size_is_not_unpacked(tmp_path):
    content = plain(("a.png", bytes(2**26)))
    content = content.replace((2**26).to_bytes(4, "little"), (100).to_bytes(4, "little"))
    (tmp_path / "it.zip").write_bytes(content)
    with open_tree(tmp_path, "it.zip") as tree:
        tracemalloc.start()
        with pytest.raises(DataError, match="is damaged"):
            tree.read("a.png")
        assert tracemalloc.get_traced_memory()[1] < 2**23
        tracemalloc.stop()


def test_limits_on_all_entries_together(tmp_path, monkeypatch):
    (tmp_path / "it.zip").write_bytes(plain(("a.png", b"x" * 60), ("b.png", b"x" * 60)))
    monkeypatch.setattr(zip_files, "MAX_BYTES", 100)
    with pytest.raises(DataError, match="unpacks to 120 bytes; expected at most 100"):
        open_tree(tmp_path, "it.zip")
    monkeypatch.setattr(zip_files, "MAX_ENTRIES", 1)
    with pytest.raises(DataError, match="lists 2 entries"):
        open_tree(tmp_path, "it.zip")
    # A directory that says one and holds two.
    content = raw((b"a.png", b"x"), (b"b.png", b"x"), count=1)
    (tmp_path / "it.zip").write_bytes(content)
    with pytest.raises(DataError, match="has 2 entries; expected at most 1"):
        open_tree(tmp_path, "it.zip")


def test_what_a_common_program_writes_is_read(tmp_path):
    entries = {"b/caf\u00e9 1.png": b"one", "a/x.png": bytes(1000), "b/y.png": b"two"}
    own = ["__MACOSX/b/._y.png", "b/.DS_Store", ".hidden/z.png", "a/Thumbs.db"]
    names = [*entries, *own, "a/"]
    content = plain(*((name, entries.get(name, b"")) for name in names))
    (tmp_path / "it.zip").write_bytes(content)
    with open_tree(tmp_path, "it.zip") as tree:
        assert list(tree.sizes) == sorted(entries)
        assert {name: tree.read(name) for name in tree.sizes} == entries
        assert tree.sizes["a/x.png"] == 1000
    # UTF-8 that does not say so, as macOS writes it, decomposed; and zip64.
    (tmp_path / "it.zip").write_bytes(raw(("cafe\u0301.png".encode(), b"x")))
    with open_tree(tmp_path, "it.zip") as tree:
        assert tree.read("caf\u00e9.png") == b"x"
    with (
        zipfile.ZipFile(tmp_path / "it.zip", "w") as archive,
        archive.open("a.png", "w", force_zip64=True) as stream,
    ):
        stream.write(b"y")
    with open_tree(tmp_path, "it.zip") as tree:
        assert tree.read("a.png") == b"y"


def test_a_folder_reads_like_an_archive(tmp_path):
    for name in ("data/b/one.png", "data/a/two.png", "data/.git/config", "data/a/.DS_Store"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    (tmp_path / "data/a/three.png").symlink_to(tmp_path / "data/b/one.png")
    with open_tree(tmp_path, "data") as tree:
        assert list(tree.sizes) == ["a/three.png", "a/two.png", "b/one.png"]
        assert tree.read("a/three.png") == b"data/b/one.png"
        (tmp_path / "data/b/one.png").unlink()
        with pytest.raises(DataError, match=r"'b/one\.png' cannot be read"):
            tree.read("b/one.png")


def outside(folder: Path) -> None:
    (folder / "a.png").symlink_to("/etc/hostname")


def outside_folder(folder: Path) -> None:
    (folder / "a").symlink_to("/etc")


def loop(folder: Path) -> None:
    (folder / "a").symlink_to(folder)


def bytes_for_a_name(folder: Path) -> None:
    (folder / "caf\udce9.png").touch()


FOLDERS = {
    "a link out": (outside, "'a.png' is a link that leads out of the inputs folder"),
    "a link to a folder outside": (outside_folder, "'a' is a link that leads out"),
    "a loop": (loop, "'a' is a link to a folder"),
    "a pipe": (lambda folder: os.mkfifo(folder / "a.png"), "no plain file"),
    "no UTF-8": (bytes_for_a_name, "is not written in UTF-8"),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_folder_with_traps_is_refused(tmp_path, case):
    (tmp_path / "data").mkdir()
    make, words = FOLDERS[case]
    make(tmp_path / "data")
    with pytest.raises(DataError) as caught:
        open_tree(tmp_path, "data")
    assert words in str(caught.value)
    assert str(tmp_path) not in str(caught.value)


def test_what_is_not_there_and_what_is_too_large_is_refused(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="nowhere: no such file or folder; expected a folder or"):
        open_tree(tmp_path, "nowhere")
    with pytest.raises(DataError, match="cannot be read"):
        open_tree(tmp_path, "n" * 400)
    (tmp_path / "a.png").write_bytes(b"12345")
    monkeypatch.setattr(trees, "MAX_FILE_BYTES", 4)
    with open_tree(tmp_path, ".") as tree, pytest.raises(DataError, match="more than 4 bytes"):
        tree.read("a.png")
    (tmp_path / "b.png").touch()
    monkeypatch.setattr(trees, "MAX_FILES", 1)
    with pytest.raises(DataError, match="more than 1 files"):
        open_tree(tmp_path, ".")
