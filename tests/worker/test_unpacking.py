"""The zip of a folder becomes that folder, or the job says why it does not."""

import os
from pathlib import Path

import pytest
from zips import plain

from kdcore.errors import DataError
from worker.unpacking import unpack_data, unpack_model
from worker.verifying import InVain


def test_the_files_lie_in_the_folder_as_they_were(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": os.urandom(3_000_000)}
    (tmp_path / "a.zip").write_bytes(plain(*((f"vit/{name}", one) for name, one in files.items())))
    asked: list[None] = []
    unpack_model(tmp_path / "a.zip", tmp_path / "vit", "a.zip", lambda: asked.append(None))
    assert {path.name: path.read_bytes() for path in (tmp_path / "vit").iterdir()} == files
    assert len(asked) > 3


def test_what_is_damaged_or_not_wanted_ends_it(tmp_path: Path) -> None:
    content = bytearray(plain(("config.json", b"{}"), ("a.safetensors", b"abcd" * 99)))
    content[content.index(b"a.safetensors") + 20] ^= 255
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip: 'a\.safetensors' is damaged"):
        unpack_model(tmp_path / "a.zip", tmp_path / "one", "a.zip", lambda: None)

    def in_vain() -> None:
        raise InVain

    (tmp_path / "b.zip").write_bytes(plain(("config.json", b"{}"), ("a.safetensors", b"abcd")))
    with pytest.raises(InVain):
        unpack_model(tmp_path / "b.zip", tmp_path / "two", "a.zip", in_vain)


SPLITS = ("dataset_dict.json", "train/state.json", "train/a.arrow", "test/state.json")


@pytest.mark.parametrize("around", ["", "own/"])
@pytest.mark.parametrize("names", [SPLITS, ("state.json", "a.arrow"), ("0.tar", "1.tar")])
def test_saved_data_and_shards_lie_in_a_folder_as_they_were(
    names: tuple[str, ...], around: str, tmp_path: Path
) -> None:
    files = {name: name.encode() * 9 for name in names}
    entries = ((f"{around}{name}", content) for name, content in files.items())
    (tmp_path / "a.zip").write_bytes(plain(*entries, ("__MACOSX/._0.tar", b"x")))
    assert unpack_data(tmp_path / "a.zip", tmp_path / "own.zip", "a.zip", lambda: None)
    folder = tmp_path / "own.zip"
    written = {path for path in folder.rglob("*") if path.is_file()}
    assert {path.relative_to(folder).as_posix(): path.read_bytes() for path in written} == files


@pytest.mark.parametrize("name", ["train/cat/1.png", "state.json", "a.arrow"])
def test_any_other_data_stays_an_archive(name: str, tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(plain((name, b"x")))
    assert not unpack_data(tmp_path / "a.zip", tmp_path / "own", "a.zip", lambda: None)
    assert not (tmp_path / "own").exists()


def test_data_that_changed_on_its_way_writes_nothing_outside(tmp_path: Path) -> None:
    for number, name in enumerate(("../up.tar", "/etc/up.tar", "a/../../up.tar")):
        (tmp_path / "a.zip").write_bytes(plain((name, b"x")))
        with pytest.raises(DataError, match=r"leads out|absolute"):
            unpack_data(tmp_path / "a.zip", tmp_path / f"{number}", "a.zip", lambda: None)
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
