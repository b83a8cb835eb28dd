"""Bad CIFAR files are refused with what was found, where, and the way out."""

import gzip
import io
import os
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from cifar_records import (
    ARCHIVES,
    BOTH,
    FOLDERS,
    Files,
    inside,
    packed,
    records,
    small,
    unpacked,
)

from kdcore.dataset import Dataset
from kdcore.datasets.cifar10 import LAYOUT, Cifar10
from kdcore.datasets.cifar100 import Cifar100
from kdcore.errors import DataError
from kdcore.reading import cifar_files


def cut(name: str, by: int) -> Callable[[Files], object]:
    return lambda files: files.update({name: files[name][:-by]})


def byte(name: str, place: int, value: int) -> Callable[[Files], object]:
    def spoil(files: Files) -> None:
        content = bytearray(files[name])
        content[place] = value
        files[name] = bytes(content)

    return spoil


BAD_FILES = {
    "cut short": (
        Cifar10,
        cut("data_batch_2.bin", 100),
        ["data_batch_2.bin has 18338 bytes", "5 records of 3073", "2973 of record 5 (counted"],
    ),
    "a byte too many": (
        Cifar100,
        lambda files: files.update({"test.bin": files["test.bin"] + b"\0"}),
        ["test.bin has", "6 records of 3074 bytes and 1 of record 6"],
    ),
    "records of the other": (
        Cifar100,
        lambda files: files.update({"train.bin": records(Cifar10, range(9), 0)}),
        ["train.bin has 27657 bytes", "records of 3074 bytes"],
    ),
    "empty": (
        Cifar10,
        lambda files: files.update({"test_batch.bin": b""}),
        ["test_batch.bin is empty; expected records of 3073 bytes"],
    ),
    "label": (
        Cifar10,
        byte("data_batch_3.bin", 2 * 3073, 10),
        ["data_batch_3.bin: record 2 (counted from 0) has the label 10", "0 to 9 (1 of 7"],
    ),
    "coarse label": (
        Cifar100,
        byte("train.bin", 3074, 20),
        ["train.bin: record 1 (counted from 0) has the coarse label 20; expected 0 to 19"],
    ),
    "fine label": (
        Cifar100,
        byte("test.bin", 4 * 3074 + 1, 255),
        ["test.bin: record 4 (counted from 0) has the fine label 255; expected 0 to 99"],
    ),
    "missing": (
        Cifar10,
        lambda files: files.pop("data_batch_4.bin"),
        ["data_batch_4.bin", "test_batch.bin"],
    ),
}


@pytest.mark.parametrize("where", ["folder", "archive"])
@pytest.mark.parametrize("case", BAD_FILES)
def test_a_bad_file_is_refused_with_what_was_found_and_where(tmp_path, where, case):
    kind, spoil, words = BAD_FILES[case]
    files = small(kind)
    spoil(files)
    if where == "folder":
        unpacked(tmp_path / FOLDERS[kind], files)
    else:
        packed(tmp_path / ARCHIVES[kind], inside(kind, files))
    refused(kind(), tmp_path, *words, FOLDERS[kind] if where == "folder" else ARCHIVES[kind])


def refused(dataset: Dataset, inputs: Path, *words: str) -> None:
    """Check that the data is refused in these words, and that the hint names the download."""
    with pytest.raises(DataError) as caught:
        dataset.read(inputs)
    for word in words:
        assert word in str(caught.value)
    assert str(inputs) not in str(caught.value)  # the server's folders are its own business
    assert ARCHIVES[type(dataset)] in caught.value.hint
    assert "https://www.cs.toronto.edu/~kriz/cifar.html" in caught.value.hint


@BOTH
def test_nothing_and_other_things_are_refused(tmp_path, kind):
    refused(kind(), tmp_path, "the inputs folder: no", "found nothing")
    refused(kind(path="nowhere"), tmp_path, "nowhere: no such file or folder")
    refused(kind(path="n" * 300), tmp_path, "cannot be read (File name too long)")
    for place in range(20):
        (tmp_path / f"{place:02}.png").touch()
    refused(kind(), tmp_path, "found 00.png, 01.png, 02.png", "07.png ...")


@BOTH
def test_the_other_data_set_is_told_from_this_one(tmp_path, kind):
    other = Cifar100 if kind is Cifar10 else Cifar10
    unpacked(tmp_path / FOLDERS[other], small(other))
    packed(tmp_path / "other.tar.gz", inside(other, small(other)))
    first = next(iter(small(kind)))
    refused(kind(path=FOLDERS[other]), tmp_path, f"no {first}", "found", next(iter(small(other))))
    refused(kind(path="other.tar.gz"), tmp_path, f"no {first}", "found", next(iter(small(other))))


@BOTH
@pytest.mark.parametrize("content", ["a folder", "no plain file"])
def test_what_is_no_file_is_not_opened(tmp_path, kind, content):
    folder = unpacked(tmp_path / FOLDERS[kind], small(kind))
    *_, last = small(kind)
    (folder / last).unlink()
    (folder / last).mkdir() if content == "a folder" else os.mkfifo(folder / last)
    refused(kind(), tmp_path, f"{last} is {content}; expected a file of records")


@BOTH
@pytest.mark.parametrize("where", ["folder", "parent", "archive", "parent of archive"])
def test_pickles_of_the_python_version_are_refused_by_name(tmp_path, kind, where):
    files = {name.removesuffix(".bin"): b"\x80\x02pickle" for name in small(kind)}
    folder = "cifar-10-batches-py" if kind is Cifar10 else "cifar-100-python"
    archive = ARCHIVES[kind].replace("binary", "python")
    if "archive" in where:
        packed(tmp_path / archive, [(f"{folder}/{name}", files[name]) for name in files])
    else:
        unpacked(tmp_path / folder, files)
    path = {"folder": folder, "archive": archive}.get(where, ".")
    words = ["the Python version", "never opened", f"expected {next(iter(small(kind)))}"]
    refused(kind(path=path), tmp_path, *words)


def test_folders_named_train_and_test_alone_are_not_called_pickles(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"no train\.bin, test\.bin of CIFAR-100; found train$"):
        Cifar100().read(tmp_path)


PAGE = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
BAD_ARCHIVES = {
    "an error page": (lambda _: PAGE, ["begins with b'<!DOCTYPE html>", "expected the gzip file"]),
    "empty": (lambda _: b"", ["is empty; expected the gzip file"]),
    "unzipped": (gzip.decompress, ["expected the gzip file"]),
    "cut in the middle": (lambda content: content[:10_000], ["damaged or cut short"]),
    "cut at the end": (lambda content: content[:-5], ["damaged or cut short"]),
    "another byte": (
        lambda content: content[:9000] + bytes([content[9000] ^ 255]) + content[9001:],
        ["damaged or cut short"],
    ),
    "another checksum": (
        lambda content: content[:-8] + bytes([content[-8] ^ 1]) + content[-7:],
        ["damaged or cut short (CRC check failed"],
    ),
    "no tar": (lambda _: gzip.compress(b"abc" * 1000), ["damaged or cut short"]),
    "a gzip of nothing": (lambda _: gzip.compress(b""), ["damaged or cut short"]),
    "a tar of nothing": (lambda _: gzip.compress(bytes(10240)), ["found nothing"]),
}


@BOTH
@pytest.mark.parametrize("case", BAD_ARCHIVES)
def test_a_bad_archive_is_refused_with_what_was_found(tmp_path, kind, case):
    spoil, words = BAD_ARCHIVES[case]
    file = packed(tmp_path / ARCHIVES[kind], inside(kind, small(kind)))
    file.write_bytes(spoil(file.read_bytes()))
    refused(kind(), tmp_path, ARCHIVES[kind], *words)


def flushed(content: bytes, more: bytes) -> bytes:
    """Return a gzip file up to the end of `content`, and then `more` where it would go on."""
    pack = zlib.compressobj(1, wbits=31)
    return pack.compress(content) + pack.flush(zlib.Z_FULL_FLUSH) + more


@BOTH
def test_damage_far_inside_and_far_behind_the_files_is_noticed(tmp_path, kind):
    files = small(kind)
    first = next(iter(files))
    files[first] = records(kind, [1] * 1000, seed=0)  # longer than what is read at a time
    file = packed(tmp_path / ARCHIVES[kind], inside(kind, files))
    content = gzip.decompress(file.read_bytes())
    file.write_bytes(flushed(content[:2_000_000], b"\xff" * 100))
    refused(kind(), tmp_path, "damaged or cut short", "invalid block type")
    file.write_bytes(flushed(content[:2_000_000], b""))
    refused(kind(), tmp_path, "damaged or cut short", "ended before")
    whole = gzip.compress(content + bytes(4_000_000))
    file.write_bytes(whole)
    assert len(kind().read(tmp_path).train.labels) >= 1000
    file.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])
    refused(kind(), tmp_path, "damaged or cut short (CRC check failed")


@BOTH
def test_members_elsewhere_are_not_taken_and_odd_ones_are_refused(tmp_path, kind):
    files = small(kind)
    *_, last = files
    content = files.pop(last)
    elsewhere = [f"../{last}", f"/{last}", f"other/{last}", f"{FOLDERS[kind]}/deep/{last}"]
    for name in elsewhere:
        packed(tmp_path / "x.tar.gz", [*inside(kind, files), (name, content)])
        refused(kind(path="x.tar.gz"), tmp_path, f"x.tar.gz: no {last} of CIFAR")
    link = tarfile.TarInfo(f"{FOLDERS[kind]}/{last}")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    packed(tmp_path / "x.tar.gz", inside(kind, files), link)
    refused(kind(path="x.tar.gz"), tmp_path, f"{last} is no plain file")
    packed(tmp_path / "x.tar.gz", [*inside(kind, files | {last: content}), (last, content)])
    refused(kind(path="x.tar.gz"), tmp_path, f"{last} stands there twice")


@BOTH
def test_more_than_the_limit_is_not_read(tmp_path, kind, monkeypatch):
    files = small(kind)
    monkeypatch.setattr(cifar_files, "MAX_BYTES", sum(map(len, files.values())) + 40_000)
    unpacked(tmp_path / "folder", files)
    padding = ("padding", bytes(100_000))
    packed(tmp_path / "fits.tar.gz", inside(kind, files))
    packed(tmp_path / "before.tar.gz", [padding, *inside(kind, files)])
    packed(tmp_path / "after.tar.gz", [*inside(kind, files), padding])
    for path in ("folder", "fits.tar.gz"):
        kind(path=path).read(tmp_path)
    # What comes behind the end of the tar is read for the checksum, and counted.
    content = gzip.decompress((tmp_path / "fits.tar.gz").read_bytes())
    (tmp_path / "behind.tar.gz").write_bytes(gzip.compress(content + padding[1]))
    *_, last = files
    (tmp_path / "folder" / last).write_bytes(files[last] * 10)
    for path in ("folder", "before.tar.gz", "after.tar.gz", "behind.tar.gz"):
        refused(kind(path=path), tmp_path, path, "found more than")


def test_a_file_that_shrinks_while_it_is_read_is_refused():
    stream = io.BytesIO(records(Cifar10, [1, 2], 0))
    with pytest.raises(DataError, match=r"x\.bin ended in record 2 \(counted from 0\) of 5"):
        cifar_files._records(LAYOUT, stream, size=5 * 3073, left=1, shown="x.bin")
