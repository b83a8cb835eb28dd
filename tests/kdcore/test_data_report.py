"""The data report: counted by hand, bad samples by name, and a page that nothing can abuse."""

import base64
import io
import json
import math
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from digit_images import digits, packed, parts, picture, unpacked
from PIL import Image
from recipes import tiny
from saved_datasets import classes, saved, value

from kdcore import census, describe, distill
from kdcore.census import Census
from kdcore.corpus import load_corpus
from kdcore.data_report import DataReport
from kdcore.datasets import DATASETS
from kdcore.datasets.synthetic import Synthetic
from kdcore.datasets.table import Table
from kdcore.describing import describe_corpus, describe_table
from kdcore.errors import DataError
from kdcore.reading.image_set import ImageSet
from kdcore.reading.survey import Seen
from kdcore.reporting.data_text import as_text
from kdcore.reporting.page import as_data_page
from kdcore.tasks import TASKS

IMAGES = {"name": "image_folder", "path": "own", "image_size": 8, "channels": 1}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def told(inputs: Path, data: dict[str, Any], **options: Any) -> DataReport:
    return describe(DATASETS[data["name"]].model_validate(data), inputs, **options)


def spoilt() -> dict[str, bytes]:
    """Return digits of which some are copies, in one part, across parts, and in two classes."""
    files = parts()
    zero = sorted(name for name in files if name.startswith("train/zero"))
    one = sorted(name for name in files if name.startswith("train/one"))
    files["train/zero/again.png"] = files[zero[0]]
    files["test/zero/leak.bmp"] = bmp(files[zero[1]])
    files["test/one/leak.png"] = files[one[0]]
    files["train/two/really one.png"] = files[one[1]]
    files["train/unlabelled/x.png"] = picture(60)
    files["train/unlabelled/y.png"] = files[one[1]]
    return files | {f"train/zero/broken{n}.png": b"no image" for n in range(3)}


def bmp(content: bytes) -> bytes:
    """Return the same pixels in another format."""
    stream = io.BytesIO()
    Image.open(io.BytesIO(content)).save(stream, "BMP")
    return stream.getvalue()


def test_images_are_counted_and_copies_found_whatever_format_they_are_in(tmp_path):
    unpacked(tmp_path / "own", spoilt())
    report = told(tmp_path, IMAGES)
    assert report.kind == "images"
    assert {part: one.samples for part, one in report.parts.items()} == {"train": 22, "test": 11}
    assert (report.parts["train"].labelled, report.parts["train"].unlabelled) == (20, 2)
    assert {one.name: one.counts for one in report.classes} == {
        "one": {"train": 6, "test": 4},
        "two": {"train": 7, "test": 3},
        "zero": {"train": 7, "test": 4},
    }
    assert report.imbalance == pytest.approx(7 / 6)
    copies = report.duplicates
    assert copies.across == {"test in train": 2}
    assert copies.within == {"train": 3}
    assert copies.conflicting == 2
    assert copies.groups == 4
    assert [one.across for one in copies.shown] == [True, True, False, False]
    assert [one.conflicting for one in copies.shown] == [False, False, True, False]
    assert [(one.name, one.label) for one in copies.shown[2].samples][1:] == [
        ("train/two/really one.png", "two"),
        ("train/unlabelled/y.png", None),
    ]
    codes = [note.code for note in report.notes]
    assert codes == [
        "unusable_samples",
        "copies_across_parts",
        "conflicting_labels",
        "copies_within_a_part",
    ]


def test_broken_images_are_all_named_and_the_others_are_walked_over(tmp_path, monkeypatch):
    unpacked(tmp_path / "own", spoilt())
    report = told(tmp_path, IMAGES)
    assert report.faults.count == 3
    assert [one.name for one in report.faults.shown] == [
        f"train/zero/broken{n}.png" for n in range(3)
    ]
    assert "is no image in PNG" in report.faults.shown[0].reason
    monkeypatch.setattr(census, "MOST_FAULTS", 2)
    fewer = told(tmp_path, IMAGES).faults
    assert (fewer.count, len(fewer.shown)) == (3, 2)


def test_no_image_stays_in_memory(tmp_path, monkeypatch):
    unpacked(tmp_path / "own", spoilt())
    monkeypatch.setattr(ImageSet, "read", lambda *_: pytest.fail("all images were read at once"))
    assert told(tmp_path, IMAGES).num_classes == 3


def test_sizes_and_thumbnails_are_those_of_the_images(tmp_path):
    files = parts() | {"train/zero/wide.png": enlarged(200, 20), "train/two/-a.png": picture(9)}
    unpacked(tmp_path / "own", files)
    report = told(tmp_path, IMAGES | {"image_size": [4, 200], "channels": 3}, thumbnails=2)
    sizes = report.sizes
    assert sizes is not None
    assert (sizes.smallest, sizes.largest, sizes.most) == ((8, 8), (20, 200), (8, 8))
    assert sizes.different == 2
    assert sizes.share == pytest.approx(28 / 29)
    assert [len(one.thumbnails) for one in report.classes] == [2, 2, 2]
    shown = report.classes[0].thumbnails[0]
    assert shown.startswith("data:image/png;base64,")
    with Image.open(io.BytesIO(base64.b64decode(shown.partition(",")[2]))) as image:
        assert (image.mode, image.size) == ("RGB", (96, 2))
    plain = told(tmp_path, IMAGES, thumbnails=1).classes[1].thumbnails
    first = min(name for name in files if name.startswith("train/two"))
    with Image.open(io.BytesIO(base64.b64decode(plain[0].partition(",")[2]))) as image:
        assert np.array_equal(
            np.asarray(image), np.asarray(Image.open(io.BytesIO(files[first])).convert("L"))
        )
    assert not told(tmp_path, IMAGES, thumbnails=0).classes[0].thumbnails


def enlarged(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.open(io.BytesIO(picture(5))).resize((width, height)).save(stream, "PNG")
    return stream.getvalue()


def test_the_fingerprint_is_that_of_the_data_however_it_is_packed(tmp_path):
    unpacked(tmp_path / "own", parts())
    packed(tmp_path / "own.zip", {f"around/{n}": one for n, one in reversed(parts().items())})
    first = told(tmp_path, IMAGES).fingerprint
    assert told(tmp_path, IMAGES | {"path": "own.zip"}).fingerprint == first
    moved = parts()
    name = min(name for name in moved if name.startswith("train/one"))
    moved[name.replace("one", "two", 1)] = moved.pop(name)
    unpacked(tmp_path / "moved", moved)
    assert told(tmp_path, IMAGES | {"path": "moved"}).fingerprint != first
    assert told(tmp_path, IMAGES | {"image_size": 9}).fingerprint != first


def test_classes_that_are_rare_or_not_tested_are_told(tmp_path):
    files = digits(20, classes=2, under="train/") | digits(1, classes=3, start=30, under="train/")
    unpacked(tmp_path / "own", files | digits(3, classes=2, start=40, under="test/"))
    report = told(tmp_path, IMAGES)
    assert report.imbalance == 21
    notes = {note.code: note.message for note in report.notes}
    assert notes["imbalance"] == ("class 'zero' has 21 training samples, 21 times the 1 of 'two'")
    assert "'two'" in notes["classes_without_test_samples"]


ROWS = "size,colour,part,kind\n1,red,train,a\n2,red,train,b\n4,blue,train,a\n9,red,test,b\n"
TABLE = {"name": "table", "path": "own.csv", "label": "kind", "split_column": "part"}


def test_columns_are_told_and_every_bad_row_is_named(tmp_path):
    bad = ",red,train,a\nbig,red,train,b\n3,blue,later,a\n3,blue\n5,red,test,z\n5,red,test,\n"
    (tmp_path / "own.csv").write_text(ROWS + bad + "2,red,train,a\n1.0,red,test,b\n")
    report = told(tmp_path, TABLE)
    assert report.kind == "rows"
    size, colour = report.columns
    assert (size.kind, size.missing, size.distinct) == ("number", 1, 5)
    assert (size.minimum, size.maximum) == (1, 9)
    assert size.mean == pytest.approx(np.mean([1, 2, 4, 9, 5, 5, 2, 1]))
    assert (colour.kind, colour.missing, colour.distinct, colour.mean) == ("text", 0, 2, None)
    assert {one.name: one.reason[:30] for one in report.faults.shown} == {
        "own.csv, line 6": "has no value in 'size'",
        "own.csv, line 7": "'size' holds 'big'; expected a",
        "own.csv, line 8": "'part' holds 'later'; expected",
        "own.csv, line 9": "found 2 values; expected 4, on",
        "own.csv, line 10": "'kind' holds 'z'; expected one",
        "own.csv, line 11": "'kind' is empty; expected one ",
    }
    assert report.duplicates.across == {"test in train": 1}
    assert report.duplicates.conflicting == 4, "2,red is a and b; 1,red is a and b"
    assert told(tmp_path, TABLE | {"missing": "mean"}).faults.count == 5


def test_arrays_are_counted_and_samples_that_are_no_numbers_named(tmp_path):
    x = np.random.default_rng(0).normal(size=(20, 1, 4, 4)).astype(np.float32)
    y = np.arange(20) % 3
    x[3], x[5, 0, 0, 0], y[7] = x[18], np.nan, -1
    np.savez(tmp_path / "own.npz", x_train=x[:12], y_train=y[:12], x_test=x[12:], y_test=y[12:])
    report = told(tmp_path, {"name": "arrays", "path": "own.npz"})
    assert report.parts["train"].model_dump() == {"samples": 11, "labelled": 10, "unlabelled": 1}
    assert report.faults.shown[0].name == "sample 5 of the train part"
    assert report.duplicates.across == {"test in train": 1}
    assert [one.name for one in report.duplicates.shown[0].samples] == [
        "sample 3 of the train part",
        "sample 6 of the test part",
    ]
    assert all(one.thumbnails for one in report.classes)


def test_saved_rows_are_walked_over_as_well(tmp_path):
    features = {"a": value("float64"), "y": classes("no", "yes", "maybe")}
    rows = [{"a": float(n % 5), "y": n % 2} for n in range(20)]
    saved(tmp_path / "own", rows, features)
    report = told(tmp_path, {"name": "huggingface_table", "path": "own", "label": "y"})
    assert [one.name for one in report.classes] == ["no", "yes", "maybe"]
    assert report.columns[0].distinct == 5
    assert report.duplicates.groups == 5


def test_very_many_classes_are_told_in_part_and_pictures_are_few(tmp_path, monkeypatch):
    monkeypatch.setattr(census, "MOST_CLASSES", 4)
    monkeypatch.setattr(census, "MOST_PICTURES", 12)
    report = told(tmp_path, {"name": "digits"})
    assert report.num_classes == 10
    assert len(report.classes) == 4
    counts = [one.counts["train"] for one in report.classes]
    assert min(counts) == 123
    assert max(counts) == 136
    assert all(len(one.thumbnails) == 1 for one in report.classes)


class Page(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        """Take it apart."""
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        """Remember an element."""
        self.tags.add(tag)
        self.attributes += attrs


def test_the_page_loads_and_runs_nothing_whatever_names_it_is_given(tmp_path):
    hostile = HOSTILE.replace("/", "")
    files = {name.replace("zero", hostile): one for name, one in spoilt().items()}
    unpacked(tmp_path / "own", files)
    report = told(tmp_path, IMAGES)
    assert any(hostile in one.name for one in report.classes)
    text = as_data_page(report)
    page = Page(text)
    assert not page.tags & {"script", "iframe", "object", "embed", "link", "form", "a"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    sources = [value for name, value in page.attributes if name in {"src", "href"}]
    assert len(sources) == 12
    assert all(str(value).startswith("data:image/png;base64,") for value in sources)
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("</style>") == 1
    for words in ("broken2.png", "really one.png", "across parts", report.fingerprint):
        assert words in text


def test_text_and_page_tell_columns_copies_and_faults(tmp_path):
    bad = "big,red,train,b\n" * 12
    (tmp_path / "own.csv").write_text(ROWS + "9,red,train,b\n" + "7,x,train,a\n" * 12 + bad)
    report = told(tmp_path, TABLE)
    text = as_text(report)
    assert "size          0          5         1  6.41176        9" in text
    assert "test line 5 (b)" in text
    assert "12 cannot be used:" in text
    assert "own.csv, line 19: 'size' holds 'big'" in text
    assert "and 2 more; --json and --html tell them" in text
    assert "warning: 1 of 1 test samples are in the train part as well" in text
    page = as_data_page(report)
    assert "own.csv, line 30" in page
    assert "6.41176" in page


def test_a_table_is_told_before_anybody_names_its_label(tmp_path):
    (tmp_path / "own.csv").write_text("age,kind\n1,a\n3,b\n3,b\n,b\n5\n")
    report = describe_table("own.csv", tmp_path)
    assert (report.data, report.num_classes, report.classes) == ("table", 0, [])
    assert report.parts["train"].unlabelled == 4
    assert report.duplicates.within == {"train": 1}
    assert report.faults.shown[0].name == "own.csv, line 6"
    age, kind = report.columns
    assert (age.kind, age.missing, age.mean, age.maximum) == ("number", 1, pytest.approx(7 / 3), 3)
    assert (kind.name, kind.kind, kind.distinct) == ("kind", "text", 2)
    note = next(one for one in report.notes if one.code == "no_label_named")
    assert "'age', 'kind'" in note.message
    assert "Classes" not in as_data_page(report)
    (tmp_path / "none.csv").write_text("a,b\n")
    with pytest.raises(DataError, match="has no rows"):
        describe_table("none.csv", tmp_path)


def test_the_report_of_images_tells_what_they_were_brought_to(tmp_path):
    unpacked(tmp_path / "own", parts())
    report = told(tmp_path, {**IMAGES, "image_size": [6, 9]})
    assert report.image_size == (6, 9)
    assert "brought to 6 x 9" in as_text(report)
    assert "brought to 6 x 9" in as_data_page(report)


def command(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kdcore", "data", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_the_command_prints_text_or_json_writes_a_page_and_says_what_is_wrong(tmp_path):
    unpacked(tmp_path / "own", parts())
    recipe = tmp_path / "own.yaml"
    recipe.write_text("data: {name: image_folder, path: own, image_size: 8, channels: 1}\n")
    done = command(recipe, "--html", tmp_path / "own.html")
    assert done.returncode == 0, done.stderr
    assert "nothing to warn of" in done.stdout
    assert "<h1>Data: image_folder</h1>" in (tmp_path / "own.html").read_text()
    (tmp_path / "own/train/zero/broken.png").write_bytes(b"none")
    done = command(recipe, "--json", "--inputs", tmp_path)
    assert done.returncode == 1
    report = DataReport.model_validate_json(done.stdout)
    assert report.faults.shown[0].name == "train/zero/broken.png"
    recipe.write_text("data: {name: image_folder, path: gone, image_size: 8}\n")
    done = command(recipe)
    assert done.returncode == 1
    assert "data_invalid: gone: no such file or folder" in done.stderr
    recipe.write_text("data: {name: image_folder, path: own}\n")
    done = command(recipe)
    assert done.returncode == 2
    assert "/data/image_size: found nothing" in done.stderr


def test_what_is_no_data_as_a_whole_is_refused_as_in_a_training(tmp_path):
    with pytest.raises(DataError, match="own: no such file or folder"):
        told(tmp_path, IMAGES)


def test_a_job_tells_what_is_worth_knowing_of_its_data(tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
    y = np.arange(60) % 2
    x[:5] = x[50:55]
    np.savez(tmp_path / "own.npz", x_train=x[:50], y_train=y[:50], x_test=x[50:], y_test=y[50:])
    recipe = tiny().model_copy(
        update={"data": DATASETS["arrays"].model_validate({"path": "own.npz"})}
    )
    for _ in distill(recipe, tmp_path / "out", inputs=tmp_path):
        pass
    report = json.loads((tmp_path / "out/artifacts/report.json").read_text())["data_quality"]
    assert report["parts"]["train"]["samples"] == 50
    assert report["duplicates"]["across"] == {"test in train": 5}
    words = "5 of 10 test samples are in the train part as well"
    assert words in (tmp_path / "out/artifacts/report.md").read_text()
    page = (tmp_path / "out/artifacts/report.html").read_text()
    assert "<h2>Data</h2>" in page
    assert words in page


def test_what_a_run_has_read_is_told_with_its_validation_part():
    spec = Synthetic.model_validate({"validation_size": 32})
    corpus = load_corpus(spec, Path(), torch.device("cpu"))
    found = describe_corpus(corpus)
    assert found.parts["validation"].samples == 32
    assert found.notes == []


def test_digests_that_are_the_same_in_one_half_are_no_copies_and_order_is_nothing():
    halves = [b"\1" * 8, b"\2" * 8]
    samples = [
        Seen("train", f"{first}{second}", first, halves[first] + halves[second])
        for first in (0, 1)
        for second in (0, 1)
    ]
    counted = [Census(("a", "b"), thumbnails=0) for _ in range(2)]
    for one, other in zip(samples, reversed(samples), strict=True):
        counted[0].add(one)
        counted[1].add(other)
    assert counted[0].duplicates().groups == 0
    assert counted[0].fingerprint() == counted[1].fingerprint()
    counted[1].add(samples[2])
    assert counted[1].duplicates().within == {"train": 1}
    assert counted[1].fingerprint() != counted[0].fingerprint()


@pytest.mark.parametrize(("task", "imbalance"), [("multi_label", 1.1107), ("regression", None)])
def test_several_labels_are_counted_each_and_numbers_are_not(task, imbalance):
    corpus = load_corpus(Synthetic(), Path(), torch.device("cpu"), TASKS[task]())
    corpus.train.labels[:12] = math.nan if task == "regression" else -1
    found = describe_corpus(corpus)
    train = found.parts["train"]
    assert (train.samples, train.labelled, train.unlabelled) == (512, 500, 12)
    assert found.parts["test"].unlabelled == 0
    assert found.imbalance == (pytest.approx(imbalance, abs=1e-4) if imbalance else None)
    assert found.notes == []


@pytest.mark.parametrize(
    ("task", "labels", "faults", "counts"),
    [
        ("regression", ["height"], ["line 6: 'height' holds 'tall'"], {}),
        ("multi_label", ["a", "b"], ["line 5: 'b' is empty"], {"a": 1, "b": 3}),
    ],
)
def test_rows_of_other_tasks_are_walked_over(task, labels, faults, counts, tmp_path):
    rows = ["x,a,b,height", "1,0,1,2.5", "1,0,1,2.5", "2,1,1,3.5", "3,1,,4.5", "4,0,0,tall", "5,,,"]
    (tmp_path / "own.csv").write_text("\n".join(rows) + "\n")
    spec = Table.model_validate({"path": "own.csv", "labels": labels, "features": ["x"]})
    report = describe(spec, tmp_path, task=task)
    told = [f"{one.name.partition(', ')[2]}: {one.reason}" for one in report.faults.shown]
    assert [one[: len(faults[0])] for one in told] == faults
    assert sum(part.labelled for part in report.parts.values()) == 4
    assert report.parts["train"].unlabelled == 1
    assert {one.name: sum(one.counts.values()) for one in report.classes} == counts
    assert report.duplicates.groups == 1
    assert report.duplicates.conflicting == 0


def test_copies_with_other_labels_are_told_and_other_labels_are_other_data(tmp_path):
    spec = Table.model_validate({"path": "own.csv", "labels": ["a", "b"], "test_path": "own.csv"})
    fingerprints: set[str] = set()
    for last in ("1,0,1", "1,1,1"):
        (tmp_path / "own.csv").write_text(f"x,a,b\n1,0,1\n2,1,0\n{last}\n")
        report = describe(spec, tmp_path, task="multi_label")
        fingerprints.add(report.fingerprint)
        assert report.duplicates.conflicting == (6 if last == "1,1,1" else 0) * 2 // 3
    assert len(fingerprints) == 2
    with pytest.raises(DataError, match="'a', 'b' in a task of classification"):
        describe(spec, tmp_path)
