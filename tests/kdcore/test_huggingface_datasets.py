"""What `datasets` saved is read without it, whatever it holds, and nothing in it is trusted."""

import builtins
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from digit_images import digits, parts, unpacked
from recipes import tiny
from saved_datasets import Rows, classes, saved, saved_splits, value

from kdcore import distill
from kdcore.datasets.huggingface_images import HuggingfaceImages
from kdcore.datasets.huggingface_table import HuggingfaceTable
from kdcore.datasets.image_folder import ImageFolder
from kdcore.errors import DataError, ExtraMissingError
from kdcore.events import VerdictReached

SIZES = {"image_size": 8, "channels": 1}
NAMES = ("one", "two", "zero")
IMAGES = {"image": {"_type": "Image"}, "label": classes(*NAMES)}
COLUMNS = {"a": value("float64"), "b": value("string"), "y": classes("no", "yes")}


def images(**options: Any) -> HuggingfaceImages:
    return HuggingfaceImages.model_validate({"path": "own"} | SIZES | options)


def table(**options: Any) -> HuggingfaceTable:
    return HuggingfaceTable.model_validate({"path": "own", "label": "y"} | options)


def rows(files: dict[str, bytes]) -> Rows:
    return [
        {"image": {"bytes": one, "path": None}, "label": NAMES.index(name.split("/")[-2])}
        for name, one in sorted(files.items())
    ]


def splits() -> dict[str, Rows]:
    return {
        part: rows({name: one for name, one in parts().items() if name.startswith(part)})
        for part in ("train", "test")
    }


def columns(count: int = 12) -> Rows:
    return [{"a": float(n), "b": "pq"[n % 2], "y": n % 2} for n in range(count)]


def test_saved_splits_are_the_same_data_as_folders(tmp_path):
    saved_splits(tmp_path / "own", splits(), IMAGES)
    unpacked(tmp_path / "folders", parts())
    source = images().read(tmp_path)
    same = ImageFolder.model_validate({"path": "folders", **SIZES}).read(tmp_path)
    assert source.class_names == same.class_names == NAMES
    assert torch.equal(source.train.inputs, same.train.inputs)
    assert torch.equal(source.train.labels, same.train.labels)
    assert torch.equal(source.test.inputs, same.test.inputs)
    assert source.warnings == ()


def test_one_split_in_several_files_is_drawn_from(tmp_path):
    saved(tmp_path / "own", rows(digits(10)), IMAGES, files=3)
    source = images().read(tmp_path)
    assert source.test.labels.bincount().tolist() == [2, 2, 2]
    assert len(source.train.labels) == 24
    other = images(split_seed=1).read(tmp_path)
    assert not torch.equal(source.test.inputs, other.test.inputs)


def test_a_class_label_orders_the_classes_and_minus_one_is_no_label(tmp_path):
    reverse = {**IMAGES, "label": classes("zero", "two", "one", "three")}
    turned = [row | {"label": 2 - row["label"]} for row in splits()["train"]]
    turned[0]["label"], turned[1]["label"] = -1, None
    saved_splits(tmp_path / "own", {"train": turned, "test": turned[2:5]}, reverse)
    source = images().read(tmp_path)
    assert source.class_names == ("zero", "two", "one", "three")
    assert source.num_classes == 4
    assert source.train.labels.tolist() == [-1, -1, *[2] * 4, *[1] * 6, *[0] * 6]


def test_splits_are_chosen_by_name_and_the_others_told(tmp_path):
    both = splits()
    named = {"learn": both["train"], "validation": both["test"], "extra": both["test"][:3]}
    saved_splits(tmp_path / "own", named, IMAGES)
    with pytest.raises(DataError, match="no split 'train'; found 'learn', 'validation', 'extra'"):
        images().read(tmp_path)
    with pytest.raises(DataError, match="found one split for two parts"):
        images(train_split="learn", test_split="extra", validation_split="learn").read(tmp_path)
    tested = images(train_split="learn", test_split="validation").read(tmp_path)
    assert len(tested.test.labels) == 9
    assert tested.validation is None
    (warned,) = tested.warnings
    assert warned.code == "splits_left_out"
    assert "'extra'" in warned.message
    drawn = images(train_split="learn").read(tmp_path)
    assert drawn.validation is not None
    assert len(drawn.validation.labels) == 9
    assert len(drawn.train.labels) + len(drawn.test.labels) == 18


def test_columns_of_images_may_be_bytes_and_classes_text(tmp_path):
    plain = [
        {"file": row["image"]["bytes"], "kind": NAMES[row["label"]]} for row in rows(digits(5))
    ]
    saved(tmp_path / "own", plain, {"file": value("binary"), "kind": value("string")})
    assert images(image="file", label="kind").read(tmp_path).class_names == NAMES
    with pytest.raises(DataError, match="no column 'image', 'label'; found 'file', 'kind'"):
        images().read(tmp_path)
    with pytest.raises(DataError, match="'kind' holds string; expected images"):
        images(image="kind", label="kind").read(tmp_path)


def test_rows_that_hold_no_image_or_class_are_named(tmp_path):
    both = splits()
    both["train"][3]["image"] = None
    both["train"][4]["image"] = {"bytes": None, "path": "/data/4.png"}
    both["test"][1]["label"] = -1
    both["test"][2]["label"] = 7
    saved_splits(tmp_path / "own", both, IMAGES)
    with pytest.raises(DataError, match="found 4 unusable samples") as told:
        images().read(tmp_path)
    for words in (
        "'own/train, row 4' has no image",
        "'own/train, row 5' names the file '/data/4.png', and holds no image",
        "'own/test, row 2' tells no class in the test part",
        "'own/test, row 3' tells the class '7' in the test part",
    ):
        assert words in str(told.value)
    left = images(skip_broken=True).read(tmp_path)
    assert (len(left.train.labels), len(left.test.labels)) == (16, 7)
    both = splits()
    both["train"][3]["image"]["bytes"] = b"none"
    saved_splits(tmp_path / "own", both, IMAGES)
    with pytest.raises(DataError, match="found 1 broken image: 'own/train, row 4' is no image"):
        images().read(tmp_path)


def test_rows_of_numbers_and_texts_become_columns(tmp_path):
    train, test = columns(), columns(4)
    train[1]["y"] = -1
    saved_splits(tmp_path / "own", {"train": train, "test": test}, COLUMNS)
    source = table().read(tmp_path)
    assert source.class_names == ("no", "yes")
    assert source.train.labels.tolist()[:4] == [0, -1, 0, 1]
    mean, std = 5.5, float(torch.arange(12.0).std(correction=0))
    assert torch.allclose(source.test.inputs[:, 0], (torch.arange(4.0) - mean) / std)
    assert source.test.inputs[:, 1:].tolist() == [[1, 0], [0, 1]] * 2
    saved(tmp_path / "one", columns(20), COLUMNS)
    drawn = table(path="one", features=["a"]).read(tmp_path)
    assert (len(drawn.train.labels), len(drawn.test.labels)) == (16, 4)


def test_values_that_are_none_and_missing_ones_are_named_by_their_row(tmp_path):
    train = columns()
    train[2]["a"] = None
    saved_splits(tmp_path / "own", {"train": train, "test": columns(4)}, COLUMNS)
    with pytest.raises(DataError, match="found 1 missing values: 'a' in row 3"):
        table().read(tmp_path)
    assert float(table(missing="mean").read(tmp_path).train.inputs[2, 0]) == 0
    features = {**COLUMNS, "b": value("binary")}
    odd = [row | {"b": b"x"} for row in columns(4)]
    saved_splits(tmp_path / "own", {"train": odd, "test": odd}, features)
    with pytest.raises(DataError, match=r"own/train, row 1: 'b' holds bytes; .*\(and 7 more bad"):
        table().read(tmp_path)
    assert table(features=["a"]).read(tmp_path).train.inputs.shape == (4, 1)


def state(**changes: Any) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        told = json.loads((folder / "state.json").read_text())
        (folder / "state.json").write_text(json.dumps(told | changes))

    return spoil


def packed(folder: Path) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    long = [row | {"b": "x" * 10_000} for row in columns()]
    saved(folder, long, COLUMNS, options=options)


def astray(folder: Path) -> None:
    """Let the offsets of a text lead out of its buffer."""
    file = next(folder.glob("*.arrow"))
    content = bytearray(file.read_bytes())
    offsets = b"".join(n.to_bytes(4, "little") for n in range(6))
    place = content.index(offsets)
    content[place + 20 : place + 24] = (2**30).to_bytes(4, "little")
    file.write_bytes(content)


def spoilt(name: str, content: bytes | None) -> Callable[[Path], object]:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        if content is not None:
            (folder / name).write_bytes(content)

    return spoil


DATA = "data-00000-of-00001.arrow"
HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no state": (spoilt("state.json", None), "own: found a folder without state.json"),
    "no info": (spoilt("dataset_info.json", None), "dataset_info.json cannot be read (No such"),
    "no JSON": (spoilt("state.json", b"{"), "own: state.json cannot be read"),
    "deep": (spoilt("state.json", b"[" * 100_000), "own: state.json cannot be read"),
    "a list": (spoilt("state.json", b"[]"), "own: state.json holds no object"),
    "nothing told": (spoilt("state.json", b"{}"), "own: state.json or dataset_info.json is incom"),
    "slip": (state(_data_files=[{"filename": "../x.arrow"}]), "found '../x.arrow'; expected a pla"),
    "absolute": (state(_data_files=[{"filename": "/etc/passwd"}]), "found '/etc/passwd'; expected"),
    "no name": (state(_data_files=["x"]), "found 'None'; expected a plain name"),
    "no rows": (state(_data_files=[]), "own: has no rows"),
    "selection": (state(_indices_data_files=[{"filename": "i"}]), "is a selection of rows"),
    "gone": (spoilt(DATA, None), f"own/{DATA}: is no readable Arrow stream"),
    "empty": (spoilt(DATA, b""), f"own/{DATA}: is no readable Arrow stream"),
    "noise": (spoilt(DATA, b"noise" * 99), f"own/{DATA}: is no readable Arrow stream"),
    "cut": (
        lambda folder: (folder / DATA).write_bytes((folder / DATA).read_bytes()[:-300]),
        "is no readable Arrow stream",
    ),
    "astray": (astray, "is no readable Arrow stream"),
    "packed": (packed, "holds packed columns; expected them as `datasets` writes them"),
    "other columns": (
        lambda folder: (folder / "dataset_info.json").write_text('{"features": {"z": {}}}'),
        "the columns are not those of dataset_info.json",
    ),
    "classes": (
        lambda folder: saved(folder, columns(), {**COLUMNS, "y": classes("no", "no")}),
        "'y' has two classes of one name",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_folder_that_datasets_did_not_write_is_refused(tmp_path, case):
    spoil, words = HOSTILE[case]
    spoil(saved(tmp_path / "own", columns(), COLUMNS))
    with pytest.raises(DataError) as told:
        table().read(tmp_path)
    assert words in str(told.value)
    assert str(tmp_path) not in str(told.value)
    assert told.value.hint


@pytest.mark.parametrize("names", [[], ["../own"], "train", [3]])
def test_splits_that_lead_elsewhere_are_refused(tmp_path, names):
    saved_splits(tmp_path / "own", splits(), IMAGES)
    (tmp_path / "own/dataset_dict.json").write_text(json.dumps({"splits": names}))
    with pytest.raises(DataError, match=r"expected a plain name|names no splits"):
        images().read(tmp_path)


def test_a_missing_pyarrow_is_told(tmp_path, monkeypatch):
    saved(tmp_path / "own", columns(), COLUMNS)
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraMissingError, match="read by pyarrow, which is not installed") as told:
        table().read(tmp_path)
    assert "stillhouse-server[data]" in str(told.value.hint)


def test_saved_images_are_distilled(tmp_path):
    saved(tmp_path / "own", rows(digits(40)), IMAGES, files=2)
    recipe = tiny().model_copy(update={"data": images(validation_size=12)})
    events = list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    assert any(isinstance(event, VerdictReached) for event in events)
