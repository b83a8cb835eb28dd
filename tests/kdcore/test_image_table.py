"""A table names the images and their classes: what does not fit together is told by its line."""

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from digit_images import digits, packed, picture, unpacked
from pydantic import ValidationError
from recipes import tiny

from kdcore import describe, distill
from kdcore.corpus import load_corpus
from kdcore.datasets.image_folder import ImageFolder
from kdcore.datasets.image_table import ImageTable
from kdcore.errors import DataError
from kdcore.events import VerdictReached
from kdcore.tasks import TASKS

SIZES = {"image_size": 8, "channels": 1}
Row = tuple[str, str, str]


def spec(**options: Any) -> ImageTable:
    given = {"path": "own", "table": "own.csv", "split_column": "split"} | SIZES
    return ImageTable.model_validate(given | options)


def rows(each: int = 6) -> list[Row]:
    """Return file, class and part of digits whose files lie in no order."""
    named = sorted(digits(each + each // 2))
    return [
        (file.replace("/", "-"), file.split("/")[0], "test" if place % 3 == 2 else "train")
        for place, file in enumerate(named)
    ]


def written(folder: Path, table: list[Row], name: str = "own.csv") -> None:
    with (folder / name).open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "label", "split"), *table])


def images(each: int = 6) -> dict[str, bytes]:
    return {name.replace("/", "-"): one for name, one in digits(each + each // 2).items()}


def test_a_folder_and_an_archive_are_read_as_the_table_says(tmp_path):
    unpacked(tmp_path / "own", images())
    packed(tmp_path / "own.zip", images())
    packed(tmp_path / "around.zip", {f"mine/{name}": one for name, one in images().items()})
    written(tmp_path, rows())
    sources = [spec(path=path).read(tmp_path) for path in ("own", "own.zip", "around.zip")]
    for source in sources:
        assert source.class_names == ("one", "two", "zero")
        assert (len(source.train.labels), len(source.test.labels)) == (18, 9)
        assert torch.equal(source.train.inputs, sources[0].train.inputs)
        assert source.warnings == ()
    folders = {f"{split}/{kind}/{file}": images()[file] for file, kind, split in rows()}
    unpacked(tmp_path / "sorted", folders)
    same = ImageFolder.model_validate({"path": "sorted", **SIZES}).read(tmp_path)
    assert torch.equal(same.train.inputs, sources[0].train.inputs)
    assert torch.equal(same.test.labels, sources[0].test.labels)


def test_without_a_column_of_parts_the_same_images_are_drawn_wherever_they_lie(tmp_path):
    unpacked(tmp_path / "own", images())
    packed(tmp_path / "around.zip", {f"mine/{name}": one for name, one in images().items()})
    written(tmp_path, rows())
    first, other = (
        spec(path=path, split_column=None).read(tmp_path) for path in ("own", "around.zip")
    )
    assert first.test.labels.bincount().tolist() == [2, 2, 2]
    assert torch.equal(first.test.inputs, other.test.inputs)


def test_rows_without_a_class_are_unlabelled_and_the_table_may_lie_beside_its_images(tmp_path):
    unpacked(tmp_path / "own", images())
    table = [
        (file, "" if split == "train" and place % 4 == 0 else kind, split)
        for place, (file, kind, split) in enumerate(rows())
    ]
    table[4] = (*table[4][:1], "two", "Val")
    written(tmp_path / "own", table)
    source = spec(table="own/own.csv").read(tmp_path)
    assert source.warnings == ()
    assert source.validation is not None
    assert source.validation.labels.tolist() == [1]
    assert source.train.labels.tolist().count(-1) == 4


def test_files_that_no_row_names_are_told(tmp_path):
    unpacked(tmp_path / "own", images() | {"spare/x.png": picture(3), "README.txt": b"hello"})
    written(tmp_path, rows())
    (warned,) = spec().read(tmp_path).warnings
    assert warned.code == "files_not_in_table"
    assert "found 2 files that own.csv does not name: 'README.txt'; 'spare/x.png'" in warned.message


FAULTS: dict[str, tuple[Row, str]] = {
    "gone": (("gone.png", "one", "train"), "names 'gone.png', which is not in own"),
    "no file": (("", "one", "train"), "names no file in 'file'"),
    "no part": ((rows()[0][0], "one", "later"), "'split' holds 'later'; expected train, test or"),
    "no class": (("spare.png", "", "test"), "tells no class in the test part"),
    "class": (("spare.png", "nine", "test"), "tells the class 'nine' in the test part"),
    "again": (rows()[1], f"names '{rows()[1][0]}' as own.csv, line 3 does; expected one row"),
    "otherwise": (
        (rows()[1][0], "two", "train"),
        f"names '{rows()[1][0]}' as 1 more, with another class or part",
    ),
    "leak": ((rows()[1][0], rows()[1][1], "test"), "as 1 more, with another class or part"),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_bad_row_is_named_by_its_line_and_left_out_on_request(tmp_path, case):
    row, words = FAULTS[case]
    unpacked(tmp_path / "own", images() | {"spare.png": picture(3)})
    written(tmp_path, [*rows(), row])
    with pytest.raises(DataError) as told:
        spec().read(tmp_path)
    assert "'own.csv, line 29' " in str(told.value)
    assert words in str(told.value)
    assert "skip_broken" in str(told.value.hint)
    source = spec(skip_broken=True).read(tmp_path)
    kept = len(source.train.labels) + len(source.test.labels)
    assert kept == (26 if case in {"otherwise", "leak"} else 27)
    warned = next(one for one in source.warnings if one.code == "unusable_samples_left_out")
    assert "'own.csv, line 29'" in warned.message


def test_many_bad_rows_are_counted_and_broken_images_named(tmp_path):
    unpacked(tmp_path / "own", images())
    written(tmp_path, [*rows(), *((f"gone{n}.png", "one", "train") for n in range(14))])
    with pytest.raises(DataError, match=r"own: found 14 unusable samples: .*, and 4 more"):
        spec().read(tmp_path)
    written(tmp_path, rows())
    (tmp_path / "own" / rows()[0][0]).write_bytes(b"no image")
    with pytest.raises(DataError, match=r"found 1 broken image: 'one-.*' is no image in PNG"):
        spec().read(tmp_path)


def test_a_column_that_is_not_there_is_named_and_each_is_one_thing(tmp_path):
    unpacked(tmp_path / "own", images())
    written(tmp_path, rows())
    with pytest.raises(DataError, match=r"no column 'kind'; found 'file', 'label', 'split'"):
        spec(label="kind").read(tmp_path)
    with pytest.raises(ValidationError, match="one column for two of file, label"):
        spec(label="file")
    for labels in (["odd", "file"], ["odd", "odd"]):
        with pytest.raises(ValidationError, match="one column for two of file, labels"):
            spec(labels=labels)


def test_a_small_table_of_images_is_distilled(tmp_path):
    packed(tmp_path / "own.zip", images(40))
    written(tmp_path, rows(40))
    data = {"name": "image_table", "path": "own.zip", "table": "own.csv", "validation_size": 12}
    recipe = tiny().model_copy(update={"data": ImageTable.model_validate(data | SIZES)})
    events = list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    assert any(isinstance(event, VerdictReached) for event in events)


LABELS = ["odd", "round"]
OF_CLASS = {"zero": (0, 1), "one": (1, 0), "two": (0, 1)}


def labelled(folder: Path, *more: tuple[str, str, str, str, str], split: bool = True) -> ImageTable:
    """Write digits that have any of two labels and a size each, and rows of one's own."""
    unpacked(folder / "own", images() | {"spare.png": picture(3)})
    told = [(file, part, *OF_CLASS[kind], 10 + len(kind)) for file, kind, part in rows()]
    with (folder / "own.csv").open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([("file", "split", *LABELS, "size"), *told, *more])
    return spec(labels=LABELS, split_column="split" if split else None)


def test_an_image_has_several_labels_and_each_is_counted(tmp_path):
    data = labelled(tmp_path, ("spare.png", "train", "", "", ""))
    source = data.read_for("multi_label", tmp_path)
    assert source.class_names == ("odd", "round")
    assert source.train.labels.tolist()[-1] == [-1, -1]
    assert source.test.labels.tolist() == [list(OF_CLASS[k]) for _, k, p in rows() if p == "test"]
    assert source.preprocessing["label"] == LABELS
    corpus = load_corpus(data, tmp_path, torch.device("cpu"), TASKS["multi_label"]())
    assert corpus.class_names == ("odd", "round")
    report = describe(data, tmp_path, task="multi_label")
    assert {one.name: one.counts for one in report.classes} == {
        "odd": {"train": 6, "test": 3},
        "round": {"train": 12, "test": 6},
    }
    assert (report.parts["train"].labelled, report.parts["train"].unlabelled) == (18, 1)
    assert [len(one.thumbnails) for one in report.classes] == [4, 4]


def test_an_image_has_a_number_in_deviations_from_the_mean(tmp_path):
    data = labelled(tmp_path).model_copy(update={"labels": ["size"]})
    source = data.read_for("regression", tmp_path)
    (column,) = source.preprocessing["label"]
    assert source.units == (column["std"],)
    assert source.train.labels.dtype == torch.float32
    back = source.test.labels.double() * column["std"] + column["mean"]
    sizes = [10 + len(kind) for _, kind, part in rows() if part == "test"]
    assert back.flatten().round().tolist() == sizes
    assert describe(data, tmp_path, task="regression").classes == []


def test_a_part_is_drawn_of_what_is_labelled(tmp_path):
    data = labelled(tmp_path, ("spare.png", "", "", "", ""), split=False)
    source = data.read_for("multi_label", tmp_path)
    assert (len(source.train.labels), len(source.test.labels)) == (23, 5)
    assert source.test.labels.min() == 0
    classes = data.model_copy(update={"labels": None, "label": "size"}).read(tmp_path)
    assert classes.class_names == ("13", "14")


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (("spare.png", "train", "maybe", "1", ""), "'odd' holds 'maybe'; expected 1 or 0, true or"),
        (("spare.png", "train", "1", "", ""), "'round' is empty; expected 1 or 0"),
        (("spare.png", "test", "", "", ""), "'odd' is empty; expected 1 or 0"),
        ((rows()[0][0], "train", "1", "1", ""), "as 1 more, with other labels or part"),
    ],
)
def test_a_row_whose_labels_cannot_be_read_is_named_and_left_out_on_request(row, words, tmp_path):
    data = labelled(tmp_path, row)
    with pytest.raises(DataError, match=words):
        data.read_for("multi_label", tmp_path)
    kept = data.model_copy(update={"skip_broken": True}).read_for("multi_label", tmp_path)
    assert len(kept.train.labels) + len(kept.test.labels) in {26, 27}
    report = describe(data, tmp_path, task="multi_label")
    assert words in report.faults.shown[0].reason


def test_several_labels_are_none_of_a_class(tmp_path):
    with pytest.raises(DataError, match="'odd', 'round' in a task of classification"):
        labelled(tmp_path).read(tmp_path)
