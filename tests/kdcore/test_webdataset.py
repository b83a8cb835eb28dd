"""Shards are read where they lie: samples by key, and their classes; nothing hostile is read."""

import gzip
import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from digit_images import digits, parts, picture, unpacked
from pydantic import ValidationError
from recipes import tiny

from kdcore import distill
from kdcore.corpus import load_corpus
from kdcore.datasets.image_folder import ImageFolder
from kdcore.datasets.webdataset import WebDataset
from kdcore.errors import DataError
from kdcore.events import VerdictReached
from kdcore.reading import shards
from kdcore.reading.shard_names import expanded, shards_of

SIZES = {"image_size": 8, "channels": 1}
Entry = tuple[str | tarfile.TarInfo, bytes]


def spec(**options: Any) -> WebDataset:
    given = {"path": "train-{000..001}.tar", "test_path": "test-000.tar"} | SIZES
    return WebDataset.model_validate(given | options)


def packed(file: Path, *entries: Entry, kind: int = tarfile.PAX_FORMAT) -> Path:
    with tarfile.open(file, "w", format=kind) as archive:
        for name, content in entries:
            info = tarfile.TarInfo(name) if isinstance(name, str) else name
            if isinstance(name, str):
                info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def samples(files: dict[str, bytes], *, by_json: bool = False) -> list[Entry]:
    """Return image and class of files that lie in folders of classes."""
    found: list[Entry] = []
    for name, content in files.items():
        kind, key = name.removesuffix(".png").split("/")[-2:]
        told = json.dumps({"label": kind, "by": "me"}) if by_json else f"{kind}\n"
        found += [
            (f"a/{key}.png", content),
            (f"a/{key}.{'json' if by_json else 'cls'}", told.encode()),
        ]
    return found


def three(folder: Path) -> list[Entry]:
    """Write two shards for training, one for testing; return the entries of the first."""
    train = samples({n: one for n, one in parts().items() if n.startswith("train")})
    test = samples({n: one for n, one in parts().items() if n.startswith("test")}, by_json=True)
    packed(folder / "train-000.tar", *train[:18])
    packed(folder / "train-001.tar", *train[18:], kind=tarfile.GNU_FORMAT)
    packed(folder / "test-000.tar", *test, kind=tarfile.USTAR_FORMAT)
    return train[:18]


def test_shards_hold_the_same_data_as_folders(tmp_path):
    three(tmp_path)
    unpacked(tmp_path / "own", parts())
    source = spec().read(tmp_path)
    same = ImageFolder.model_validate({"path": "own", **SIZES}).read(tmp_path)
    assert source.class_names == same.class_names
    assert source.warnings == ()
    # Folders are in the order of their names, shards in that of their files.
    for ours, theirs in ((source.train, same.train), (source.test, same.test)):
        assert sorted(one.numpy().tobytes() for one in ours.inputs) == sorted(
            one.numpy().tobytes() for one in theirs.inputs
        )
        assert ours.labels.bincount().tolist() == theirs.labels.bincount().tolist()
    assert load_corpus(spec(), tmp_path, torch.device("cpu")).num_classes == 3


def test_shards_are_named_by_a_pattern_a_list_or_their_folder(tmp_path):
    assert expanded("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert expanded("{8..10}") == ["8", "9", "10"]
    assert expanded("{0..1}/{00..01}.tar") == ["0/00.tar", "0/01.tar", "1/00.tar", "1/01.tar"]
    (tmp_path / "shards").mkdir()
    three(tmp_path / "shards")
    names = [f"shards/train-00{number}.tar" for number in (0, 1)]
    assert shards_of(tmp_path, "shards/train-{000..001}.tar") == names
    assert shards_of(tmp_path, names) == names
    assert shards_of(tmp_path, "shards") == ["shards/test-000.tar", *names]
    assert len(spec(path="shards", test_path=None).read(tmp_path).train.labels) == 21


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("train-{000..003}.tar", "found no train-002.tar; train-003.tar in the inputs folder"),
        ("train-{3..1}.tar", "expected the smaller number first"),
        ("{0..99999}{0..99999}", "names more than 100,000 shards"),
        (["train-000.tar", "train-{000..001}.tar"], "found train-000.tar more than once"),
        ("empty", "found no .tar file in the folder"),
        (["train-000.tar", "test-000.tar"], "found test-000.tar in two parts"),
    ],
)
def test_shards_that_are_not_there_or_named_twice_are_told(tmp_path, names, words):
    three(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as told:
        spec(path=names).read(tmp_path)
    assert words in str(told.value)


def test_paths_stay_inside_the_inputs_folder():
    for names in ("../x.tar", ["ok.tar", "/etc/passwd"]):
        with pytest.raises(ValidationError, match="inside the inputs folder"):
            spec(path=names)
    with pytest.raises(ValidationError, match="validation_path without test_path"):
        spec(test_path=None, validation_path="a.tar")


def test_without_test_shards_some_samples_are_drawn_by_class_and_seed(tmp_path):
    packed(tmp_path / "all.tar", *samples(digits(10)))
    source = spec(path="all.tar", test_path=None).read(tmp_path)
    assert source.test.labels.tolist().count(0) == 2
    assert len(source.test.labels) == 6
    again = spec(path="all.tar", test_path=None, split_seed=1).read(tmp_path)
    assert not torch.equal(source.test.inputs, again.test.inputs)


def test_a_shard_may_have_any_number_of_files_and_folders(tmp_path):
    top = tarfile.TarInfo("./")
    top.type = tarfile.DIRTYPE
    many = [
        (f"./{n}.{kind}", one)
        for n in range(150)
        for kind, one in (("png", picture(0)), ("cls", b"ab"[n % 2 : n % 2 + 1]))
    ]
    packed(tmp_path / "a.tar", (top, b""), *many, ("./.DS_Store", b"x"))
    source = spec(path="a.tar", test_path=None).read(tmp_path)
    assert len(source.train.labels) == 120
    assert source.warnings == ()


def test_numbers_are_classes_in_their_order_and_what_has_none_is_unlabelled(tmp_path):
    first = [(f"{n}.{kind}", one) for n, label in enumerate((10, 9, 2, 10, 9, 2))
             for kind, one in (("png", picture(n)), ("cls", str(label).encode()))]  # fmt: skip
    packed(tmp_path / "a.tar", *first, ("7.input.PNG", picture(7)), ("7.txt", b"a caption"))
    packed(tmp_path / "b.tar", ("8.jpg", picture(8, kind="JPEG")), ("8.json", b'{"y": 9}'))
    source = spec(path="a.tar", test_path="b.tar", label="y").read(tmp_path)
    assert source.class_names == ("2", "9", "10")
    assert source.train.labels.tolist() == [2, 1, 0, 2, 1, 0, -1]
    assert source.test.labels.tolist() == [1]
    (warned,) = source.warnings
    assert warned.code == "files_beside_samples"
    assert "1 .txt" in warned.message


FAULTS: dict[str, tuple[list[Entry], str]] = {
    "no image": ([("x.cls", b"one")], "'train-000.tar/x' has no images; expected one"),
    "two images": (
        [("x.png", picture(1)), ("x.seg.png", picture(2)), ("x.cls", b"one")],
        "'train-000.tar/x' has 2 images; expected one",
    ),
    "bytes": ([("x.png", picture(1)), ("x.cls", b"\xff")], "has a .cls file that is not written"),
    "long": ([("x.png", picture(1)), ("x.cls", b"1" * 2000)], "has a .cls file of 2,000 bytes"),
    "no json": ([("x.png", picture(1)), ("x.json", b"{")], "has a .json file that is none"),
    "a list": ([("x.png", picture(1)), ("x.json", b"[]")], "has a .json file of list"),
    "deep": ([("x.png", picture(1)), ("x.json", b"[" * 100_000)], "has a .json file that is none"),
    "label": ([("x.png", picture(1)), ("x.json", b'{"label": [1]}')], "has list in 'label'"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_bad_sample_is_named_by_shard_and_key_and_left_out_on_request(tmp_path, case):
    entries, words = FAULTS[case]
    packed(tmp_path / "train-000.tar", *three(tmp_path), *entries)
    with pytest.raises(DataError, match=r"found 1 unusable sample: 'train-000\.tar/x'") as told:
        spec().read(tmp_path)
    assert words in str(told.value)
    source = spec(skip_broken=True).read(tmp_path)
    assert len(source.train.labels) == 18
    assert source.warnings[0].code == "unusable_samples_left_out"


def test_a_test_sample_needs_a_class_that_was_trained_and_broken_images_are_named(tmp_path):
    three(tmp_path)
    odd = [("x.png", picture(1)), ("y.png", picture(2)), ("y.cls", b"nine")]
    packed(tmp_path / "test-000.tar", *samples(digits(2)), *odd)
    with pytest.raises(DataError, match=r"'test-000\.tar/x' tells no class") as told:
        spec().read(tmp_path)
    assert "'test-000.tar/y' tells the class 'nine'" in str(told.value)
    packed(tmp_path / "test-000.tar", *samples(digits(2)), ("x.png", b"none"), ("x.cls", b"one"))
    with pytest.raises(DataError, match=r"found 1 broken image: 'test-000\.tar/x' is no image"):
        spec().read(tmp_path)


def entry(name: str, **fields: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def long_header(file: Path) -> None:
    """Append a header that claims a name of a gigabyte."""
    info = entry("././@LongLink", type=tarfile.GNUTYPE_LONGNAME, size=2**30)
    with file.open("ab") as stream:
        stream.truncate(stream.tell() - stream.tell() % 512)
        start = file.read_bytes().rstrip(b"\0")
        stream.truncate(-(-len(start) // 512) * 512)
        stream.write(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))


def cut(to: int) -> Callable[[Path], object]:
    return lambda file: file.write_bytes(file.read_bytes()[:to])


def added(name: str, content: bytes = b"", **fields: Any) -> Callable[[Path], object]:
    def spoil(file: Path) -> None:
        info = entry(name, **({"size": len(content)} | fields))
        with tarfile.open(file, "a") as archive:
            archive.addfile(info, io.BytesIO(content))

    return spoil


def twice(file: Path) -> None:
    file.write_bytes(file.read_bytes() * 2)


def garbled(file: Path) -> None:
    content = bytearray(file.read_bytes())
    place = content.index(b"ustar", 3000) - 257
    content[place : place + 100] = b"\x07" * 100
    file.write_bytes(content)


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (added("l.png", type=tarfile.SYMTYPE, linkname="/etc/passwd"), "'l.png' is a link"),
    "hard link": (added("l.png", type=tarfile.LNKTYPE, linkname="a/1.png"), "'l.png' is a link"),
    "device": (added("d.png", type=tarfile.CHRTYPE), "'d.png' is a device"),
    "pipe": (added("d.png", type=tarfile.FIFOTYPE), "'d.png' is a pipe"),
    "contiguous": (added("d.png", type=tarfile.CONTTYPE), "'d.png' is no plain file"),
    "unknown": (added("d.png", type=b"Z"), "'d.png' is no plain file"),
    "sparse": (
        added(
            "s.png", b"x", pax_headers={"GNU.sparse.map": "0,1", "GNU.sparse.size": "9999999999"}
        ),
        "'s.png' is a sparse file",
    ),
    "slip": (added("../x.png", b"x"), "the name '../x.png' leads out"),
    "inner slip": (added("a/../../x.png", b"x"), "leads out of the archive"),
    "absolute": (added("/etc/x.png", b"x"), "the name '/etc/x.png' is an absolute path"),
    "backslash": (added("a\\x.png", b"x"), "has a backslash"),
    "control": (added("a\nx.png", b"x"), "has control characters"),
    "long name": (added("x" * 2000 + ".png", b"x"), "has 2,004 characters"),
    "long header": (long_header, "a header is too long"),
    "twice": (added("a/0.png", b"x"), "'a/0.png' stands there twice"),
    "cut": (cut(512 + 20), "is cut short in 'a/"),
    "cut in the padding": (cut(3 * 512 + 100), "unexpected end of data"),
    "no end": (cut(4 * 512), "is cut short after its last file"),
    "garbled": (garbled, "holds what is no header of a file after"),
    "joined": (twice, "holds what is no header of a file after 18,432 bytes; expected its end"),
    "gzip": (
        lambda file: file.write_bytes(gzip.compress(file.read_bytes())),
        "is no plain tar archive",
    ),
    "empty": (lambda file: file.write_bytes(b""), "is no plain tar archive"),
    "text": (lambda file: file.write_text("hello" * 500), "is no plain tar archive"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_shard_that_no_decent_program_writes_is_refused(tmp_path, case):
    spoil, words = HOSTILE[case]
    three(tmp_path)
    spoil(tmp_path / "train-000.tar")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(DataError) as told:
        spec(skip_broken=True).read(tmp_path)
    assert str(told.value).startswith("train-000.tar: ")
    assert words in str(told.value)
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("limit", "words"),
    [("MAX_MEMBERS", "has more than 10 files"), ("MAX_MEMBER_BYTES", "expected at most 10")],
)
def test_more_than_the_limits_of_a_shard_is_refused(tmp_path, monkeypatch, limit, words):
    three(tmp_path)
    monkeypatch.setattr(shards, limit, 10)
    with pytest.raises(DataError, match=words):
        spec().read(tmp_path)


def test_small_shards_are_distilled(tmp_path):
    packed(tmp_path / "own-0.tar", *samples(digits(30)))
    packed(tmp_path / "own-1.tar", *samples(digits(10, start=30)))
    data = spec(path="own-{0..1}.tar", test_path=None, validation_size=12)
    recipe = tiny().model_copy(update={"data": data})
    events = list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    assert any(isinstance(event, VerdictReached) for event in events)
