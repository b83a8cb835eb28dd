"""Hostile archives, folders and images are refused in words, and leave nothing behind."""

import io
import os
import stat
import struct
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from digit_images import digits, packed, parts, picture, unpacked
from PIL import Image

from kdcore.datasets.image_folder import ImageFolder
from kdcore.errors import DataError
from kdcore.reading import image_set, images, trees, zip_files

Spoil = Callable[[Path], object]


def added(name: str, content: bytes | None = None, **fields: int) -> Spoil:
    """Add an entry of this very name, with these fields of its header."""

    def spoil(file: Path) -> None:
        entry = zipfile.ZipInfo(name)
        entry.filename = name  # as it is: the class mends separators of this system
        entry.external_attr = (stat.S_IFREG | 0o644) << 16
        for field, value in fields.items():
            setattr(entry, field, value)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of names that stand there twice
            with zipfile.ZipFile(file, "a") as archive:
                archive.writestr(entry, picture(3) if content is None else content)

    return spoil


def patched(field: int, kind: str, value: int, *, local: int | None = None) -> Spoil:
    """Overwrite a field of the last entry in the directory, and in its own header as well."""

    def spoil(file: Path) -> None:
        content = bytearray(file.read_bytes())
        place = content.rfind(b"PK\x01\x02")
        start = struct.unpack_from("<I", content, place + 42)[0]
        struct.pack_into(kind, content, place + field, value)
        if local is not None:
            struct.pack_into(kind, content, start + local, value)
        file.write_bytes(content)

    return spoil


def renamed(before: bytes, after: bytes, *, once: bool = False) -> Spoil:
    assert len(before) == len(after)
    return lambda file: file.write_bytes(
        file.read_bytes().replace(before, after, 1 if once else -1)
    )


def whole(content: Callable[[bytes], bytes]) -> Spoil:
    return lambda file: file.write_bytes(content(file.read_bytes()))


def tarred(mode: str) -> Spoil:
    def spoil(file: Path) -> None:
        with tarfile.open(file, mode) as archive:
            for name, content in parts().items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))

    return spoil


def bomb_picture(width: int, height: int) -> bytes:
    """Return a PNG whose header says so, and that holds nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def tiff() -> bytes:
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "TIFF")
    return stream.getvalue()


LINK = {"external_attr": (stat.S_IFLNK | 0o777) << 16}
FIFO = {"external_attr": (stat.S_IFIFO | 0o666) << 16}
ZIPS: dict[str, tuple[Spoil, str]] = {
    "absolute": (added("/etc/x.png"), "'/etc/x.png' is an absolute path"),
    "drive": (added("C:/x.png"), "'C:/x.png' is an absolute path"),
    "drive without a slash": (added("C:x.png"), "is an absolute path"),
    "parent": (added("train/../../x.png"), "leads out of the archive (..)"),
    "parent alone": (added("../x.png"), "leads out of the archive (..)"),
    "backslash": (added("train\\zero\\x.png"), "has a backslash"),
    "parent by backslash": (added("..\\x.png"), "has a backslash"),
    "share": (added("\\\\server\\x.png"), "has a backslash"),
    "empty part": (added("train//x.png"), "has an empty part"),
    "dot": (added("train/./x.png"), "has an empty part"),
    "line break": (added("train/zero/x\n.png"), "has control characters"),
    "escape": (added("train/zero/\x1b[2Jx.png"), "has control characters"),
    "long": (added("train/zero/" + "x" * 2000), "has 2,011 characters"),
    "link": (added("train/zero/l.png", b"/etc/passwd", **LINK), "'train/zero/l.png' is a link"),
    "pipe": (added("train/zero/p.png", b"", **FIFO), "'train/zero/p.png' is no plain file"),
    "encrypted": (patched(8, "<H", 1, local=6), "is encrypted"),
    "twice": (added("train/zero/0.png"), "'train/zero/0.png' stands there twice"),
    "file and folder": (added("train/zero/0.png/x.png"), "is a file and a folder as well"),
    "folder with bytes": (added("train/zero/d/", b"abc"), "holds bytes of its own"),
    "nested": (added("train/zero/more.zip"), "'train/zero/more.zip' is an archive in the archive"),
    "nested tar": (added("train/zero/more.tar.GZ"), "is an archive in the archive"),
    "no utf-8": (
        lambda file: (
            added("train/zero/xyz.png")(file),
            renamed(b"train/zero/xyz.png", b"train/zero/\xff\xfe\xfd.png")(file),
        ),
        "is not written in UTF-8",
    ),
    "ratio": (
        added("train/zero/b.png", bytes(2**22), compress_type=zipfile.ZIP_DEFLATED),
        "expected at most 200 times as much",
    ),
    "bzip2": (
        added("train/zero/b.png", b"x" * 99, compress_type=zipfile.ZIP_BZIP2),
        "is packed by method 12; expected deflate, or none",
    ),
    "says less": (patched(24, "<I", 5, local=22), "is damaged"),
    "says more": (patched(24, "<I", 500_000, local=22), "bytes; its entry says 500,000"),
    "says huge": (patched(24, "<I", 2**31, local=22), "unpacks to 2,147,483,648 bytes"),
    "other checksum": (patched(16, "<I", 1, local=14), "is damaged (Bad CRC-32"),
    "other name inside": (renamed(b"train/zero/0.png", b"train/zero/9.png", once=True), "damaged"),
    "over another": (patched(42, "<I", 0), "lies over another entry"),
    "outside": (patched(42, "<I", 2**31), "lies outside of the archive"),
    "cut": (whole(lambda content: content[:-40]), "it is cut short"),
    "half": (whole(lambda content: content[: len(content) // 2]), "it is cut short"),
    "front gone": (whole(lambda content: b"PK\x03\x04" + content[500:]), "own.zip"),
    "empty": (whole(lambda _: b""), "is empty; expected a zip archive"),
    "text": (whole(lambda _: b"<html>404</html>"), "begins with b'<html>404</html>'"),
    "nothing inside": (whole(lambda _: b"PK\x05\x06" + bytes(18)), "found nothing"),
    "tar": (tarred("w"), "is a tar archive; expected a zip archive or a folder"),
    "tar.gz": (tarred("w:gz"), "is a gzip file, such as tar.gz"),
    "7z": (whole(lambda _: b"7z\xbc\xaf\x27\x1c" + bytes(99)), "is a 7z archive"),
    "rar": (whole(lambda _: b"Rar!\x1a\x07\x00" + bytes(99)), "is a RAR archive"),
    "huge picture": (
        added("train/zero/b.png", bomb_picture(9_000, 9_000)),
        "'train/zero/b.png' has 9,000 x 9,000 pixels",
    ),
    "huger picture": (
        added("train/zero/b.png", bomb_picture(60_000, 60_000)),
        "'train/zero/b.png' has far more than 67,108,864 pixels",
    ),
    "empty picture": (added("train/zero/b.png", b""), "'train/zero/b.png' is no image in PNG"),
    "picture without pixels": (added("train/zero/b.png", bomb_picture(8, 8)), "is broken ("),
    "tiff": (added("train/zero/b.png", tiff()), "is no image in PNG, JPEG, BMP, WEBP, GIF"),
    "svg": (added("train/zero/b.svg", b"<svg/>"), "'train/zero/b.svg' is no image in PNG"),
    "eps": (added("train/zero/b.png", b"%!PS-Adobe-3.0 EPSF-3.0\n"), "is no image in PNG"),
    "cut picture": (added("train/zero/b.png", picture(3)[:60]), "'train/zero/b.png' is"),
}


def refused(inputs: Path, words: str, **options: object) -> DataError:
    """Check that the data is refused in these words, and that nothing was written."""
    before = sorted(inputs.rglob("*"))
    fields = {"path": "own.zip", "image_size": 8, "channels": 1} | options
    with pytest.raises(DataError) as caught:
        ImageFolder.model_validate(fields).read(inputs)
    assert words in str(caught.value)
    assert str(inputs) not in str(caught.value)  # the server's folders are its own business
    assert caught.value.hint
    assert str(caught.value).isprintable()
    assert sorted(inputs.rglob("*")) == before
    return caught.value


@pytest.mark.parametrize("case", ZIPS)
def test_a_hostile_archive_is_refused_with_what_was_found(tmp_path, monkeypatch, case):
    (tmp_path / "tmp").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    spoil, words = ZIPS[case]
    spoil(packed(tmp_path / "own.zip", parts()))
    refused(tmp_path, words)


def test_files_of_the_file_system_are_passed_over(tmp_path):
    own = dict.fromkeys(
        ["__MACOSX/train/zero/._0.png", "train/.DS_Store", "train/zero/Thumbs.db"], b"x"
    )
    packed(tmp_path / "own.zip", parts() | own)
    source = ImageFolder(path="own.zip", image_size=8).read(tmp_path)
    assert len(source.train.labels) == 18
    assert source.warnings == ()


def test_names_in_utf8_are_read_whether_the_archive_says_so_or_not(tmp_path):
    files = {name.replace("zero", "null-größe"): one for name, one in parts().items()}
    packed(tmp_path / "own.zip", files)
    names = ImageFolder(path="own.zip", image_size=8).read(tmp_path).class_names
    assert names == ("null-größe", "one", "two")
    content = (tmp_path / "own.zip").read_bytes()
    unsaid = content
    for header in (b"PK\x03\x04\x14\x00", b"PK\x01\x02\x14\x03\x14\x00"):
        unsaid = unsaid.replace(header + b"\x00\x08", header + b"\x00\x00")
    assert unsaid != content
    (tmp_path / "own.zip").write_bytes(unsaid)
    assert ImageFolder(path="own.zip", image_size=8).read(tmp_path).class_names == names


@pytest.mark.parametrize(
    ("limit", "words"),
    [
        ("MAX_ENTRIES", "lists 27 entries"),
        ("MAX_DIRECTORY_BYTES", "in 10"),
        ("MAX_ENTRY_BYTES", "expected at most 10"),
        ("MAX_BYTES", "expected at most 10"),
    ],
)
def test_more_than_the_limits_of_an_archive_is_refused(tmp_path, monkeypatch, limit, words):
    packed(tmp_path / "own.zip", parts())
    monkeypatch.setattr(zip_files, limit, 10)
    refused(tmp_path, words)


@pytest.mark.parametrize("path", ["own", "own.zip"])
def test_memory_is_counted_before_an_image_is_read(tmp_path, monkeypatch, path):
    unpacked(tmp_path / "own", parts())
    packed(tmp_path / "own.zip", parts())
    monkeypatch.setattr(image_set, "decoded", lambda *_: pytest.fail("an image was decoded"))
    monkeypatch.setattr(image_set, "MAX_BYTES", 27 * 64 * 4 - 1)
    error = refused(tmp_path, "27 images of 1 x 8 x 8 take", path=path)
    assert "image_size" in str(error.hint)


def linked(target: str) -> Spoil:
    return lambda folder: (folder / "train/zero/l.png").symlink_to(target)


FOLDERS: dict[str, tuple[Spoil, str]] = {
    "link out": (linked("/etc/passwd"), "'train/zero/l.png' is a link that leads out"),
    "link to nothing": (linked("gone.png"), "cannot be read (No such file"),
    "link to a folder": (linked(".."), "'train/zero/l.png' is a link to a folder"),
    "pipe": (lambda folder: os.mkfifo(folder / "train/zero/p.png"), "is no plain file"),
    "no test": (
        lambda folder: (folder / "test").rename(folder / "val"),
        "found 'train', 'val', and no test",
    ),
    "another folder": (
        lambda folder: unpacked(folder / "extra", digits(1)),
        "found the folders 'extra' beside train and test",
    ),
    "two validations": (
        lambda folder: [
            unpacked(folder, digits(1, under=f"{one}/")) for one in ("val", "validation")
        ],
        "found val/ and validation/; expected one of the two",
    ),
    "new class": (
        lambda folder: (folder / "test/two").rename(folder / "test/zwei"),
        "the test part has the classes 'zwei', which the training part has not",
    ),
    "unlabelled test": (
        lambda folder: (folder / "test/two").rename(folder / "test/unlabelled"),
        "the test part has the classes 'unlabelled'",
    ),
}


@pytest.mark.parametrize("case", FOLDERS)
def test_a_bad_folder_is_refused_with_what_was_found(tmp_path, case):
    spoil, words = FOLDERS[case]
    spoil(unpacked(tmp_path / "own", parts()))
    refused(tmp_path, words, path="own")


def test_nothing_flat_and_lonely_images_are_refused(tmp_path):
    refused(tmp_path, "own.zip: no such file or folder")
    (tmp_path / "own").mkdir()
    refused(tmp_path, "own: found nothing; expected one folder for each class", path="own")
    unpacked(tmp_path / "own", {"0.png": picture(0), "1.png": picture(1)})
    refused(tmp_path, "found 2 files and no folder", path="own")
    unpacked(tmp_path / "lonely", digits(4) | {"other/1.png": picture(1)})
    refused(tmp_path, "found one sample of class 1, 'other/1.png'", path="lonely")


def test_a_file_that_grows_is_not_read_whole(tmp_path, monkeypatch):
    unpacked(tmp_path / "own", parts())
    monkeypatch.setattr(trees, "MAX_FILE_BYTES", 50)
    refused(tmp_path, "has more than 50 bytes", path="own")


def test_the_limit_of_pixels_is_kept_exactly(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "MAX_PIXELS", 64)
    unpacked(tmp_path / "own", parts())
    ImageFolder(path="own", image_size=8).read(tmp_path)
    monkeypatch.setattr(images, "MAX_PIXELS", 63)
    refused(tmp_path, "has 8 x 8 pixels; expected at most 63", path="own")
