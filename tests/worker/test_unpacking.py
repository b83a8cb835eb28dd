"""The zip of a model's folder becomes that folder, or the job says why it does not."""

import os
from pathlib import Path

import pytest
from zips import plain

from kdcore.errors import DataError
from worker.unpacking import unpack
from worker.verifying import InVain


def test_the_files_lie_in_the_folder_as_they_were(tmp_path: Path) -> None:
    files = {"config.json": b"{}", "model.safetensors": os.urandom(3_000_000)}
    (tmp_path / "a.zip").write_bytes(plain(*((f"vit/{name}", one) for name, one in files.items())))
    asked: list[None] = []
    unpack(tmp_path / "a.zip", tmp_path / "vit", "a.zip", lambda: asked.append(None))
    assert {path.name: path.read_bytes() for path in (tmp_path / "vit").iterdir()} == files
    assert len(asked) > 3


def test_what_is_damaged_or_not_wanted_ends_it(tmp_path: Path) -> None:
    content = bytearray(plain(("config.json", b"{}"), ("a.safetensors", b"abcd" * 99)))
    content[content.index(b"a.safetensors") + 20] ^= 255
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.zip: 'a\.safetensors' is damaged"):
        unpack(tmp_path / "a.zip", tmp_path / "one", "a.zip", lambda: None)

    def in_vain() -> None:
        raise InVain

    (tmp_path / "b.zip").write_bytes(plain(("config.json", b"{}"), ("a.safetensors", b"abcd")))
    with pytest.raises(InVain):
        unpack(tmp_path / "b.zip", tmp_path / "two", "a.zip", in_vain)
