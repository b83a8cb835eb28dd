"""Tables become samples: columns are fitted on the training part, bad rows named by their lines."""

import builtins
import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from recipes import tiny
from sklearn.datasets import load_digits

from kdcore import distill
from kdcore.datasets.table import Table
from kdcore.errors import DataError, ExtraMissingError
from kdcore.events import VerdictReached
from kdcore.reading import table_set

BUNCH: Any = load_digits()
ROWS = "size,colour,kind\n1,red,cat\n2,blue,cat\n3,red,dog\n6,green,dog\n"
TEST = "size,colour,kind\n3,red,dog\n4,pink,cat\n"


def spec(**options: Any) -> Table:
    return Table.model_validate({"path": "own.csv", "label": "kind"} | options)


def written(folder: Path, text: str = ROWS, name: str = "own.csv") -> None:
    (folder / name).write_text(text, encoding="utf-8")


def digits_table(count: int = 300) -> list[dict[str, Any]]:
    """Return digits as rows: 8 sums of pixels, a text and the class."""
    rows: list[dict[str, Any]] = []
    for image, label in zip(BUNCH.images[:count], BUNCH.target[:count], strict=True):
        row: dict[str, Any] = {f"row{place}": float(one) for place, one in enumerate(image.sum(1))}
        row["shape"] = "wide" if image[:, 1].sum() > 9 else "narrow"
        rows.append(row | {"digit": int(label)})
    return rows


def as_csv(file: Path, rows: list[dict[str, Any]]) -> None:
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_columns_are_fitted_on_the_training_part_alone_and_delivered(tmp_path):
    written(tmp_path)
    written(tmp_path, TEST, "test.csv")
    source = spec(test_path="test.csv").read(tmp_path)
    std = float(np.std([1, 2, 3, 6]))
    expected = [[(size - 3) / std, *text] for size, text in ((3, (0, 0, 1)), (4, (0, 0, 0)))]
    assert torch.allclose(source.test.inputs, torch.tensor(expected))
    assert source.test.labels.tolist() == [1, 0]
    assert source.class_names == ("cat", "dog")
    assert source.preprocessing["columns"] == [
        {"name": "size", "kind": "number", "mean": 3.0, "std": std},
        {"name": "colour", "kind": "text", "values": ["blue", "green", "red"]},
    ]
    (warned,) = source.warnings
    assert warned.code == "texts_not_in_training"
    assert "'pink'" in warned.message


def test_csv_json_lines_and_parquet_are_the_same_data(tmp_path):
    rows = digits_table(60)
    as_csv(tmp_path / "own.csv", rows)
    (tmp_path / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    names = ("own.csv", "own.jsonl", "own.parquet")
    sources = [
        spec(path=name, label="digit", features=["row1", "row2", "shape"], validation_size=3).read(
            tmp_path
        )
        for name in names
    ]
    for source in sources:
        assert source.class_names == tuple("0123456789")
        assert source.train.inputs.shape[1] == 4
        assert torch.allclose(source.train.inputs.mean(0)[:2], torch.zeros(2), atol=1e-5)
    # Lines of a CSV count its first one, too, so that other rows may be drawn.
    assert {len(source.test.labels) for source in sources} == {len(sources[0].test.labels)}


def test_a_split_column_a_seeded_draw_and_hidden_labels(tmp_path):
    lines = [
        f"{place},{'cat' if place % 2 else 'dog'},{part}"
        for place, part in enumerate(["train"] * 6 + ["test"] * 4 + ["val"] * 2)
    ]
    written(tmp_path, "\n".join(["x,kind,part", *lines, "99,,train", ""]))
    source = spec(split_column="part").read(tmp_path)
    assert source.train.labels.tolist() == [1, 0, 1, 0, 1, 0, -1]
    assert source.validation is not None
    assert [len(source.test.labels), len(source.validation.labels)] == [4, 2]
    drawn = [
        spec(features=["x"], split_seed=seed, test_share=0.5).read(tmp_path) for seed in (0, 0, 1)
    ]
    assert drawn[0].test.labels.tolist().count(0) == 3
    assert torch.equal(drawn[0].test.inputs, drawn[1].test.inputs)
    assert not torch.equal(drawn[0].train.inputs, drawn[2].train.inputs)


def test_missing_values_are_refused_by_line_or_become_the_mean(tmp_path):
    written(tmp_path, ROWS.replace("\n2,", "\nNA,"))
    written(tmp_path, TEST.replace("3,red", ",red"), "test.csv")
    with pytest.raises(DataError, match="found 1 missing values: 'size' in line 3") as told:
        spec(test_path="test.csv").read(tmp_path)
    assert "data.missing" in str(told.value.hint)
    written(tmp_path, "size,colour,kind\n,red,cat\n,red,dog\n", "none.csv")
    with pytest.raises(DataError, match="'size' has no value in the training part"):
        spec(path="none.csv", test_path="test.csv", missing="mean").read(tmp_path)
    source = spec(test_path="test.csv", missing="mean").read(tmp_path)
    assert float(source.train.inputs[1, 0]) == 0
    assert float(source.test.inputs[0, 0]) == 0


def test_a_column_that_never_changes_and_quoted_line_breaks_are_read(tmp_path):
    written(tmp_path, 'x,y,kind\n1,"a, b",p\n1,"c\nd",q\n\n1,"a, b",p\n1,"c\nd",q\n')
    source = spec().read(tmp_path)
    assert source.train.inputs.isfinite().all()
    columns: Any = source.preprocessing["columns"]
    assert columns[1]["values"] == ["a, b", "c\nd"]


def row(line: str) -> str:
    return f"{ROWS}{line}\n"


BAD = {
    "few values": (row("1,red"), "own.csv, line 6: found 2 values; expected 3"),
    "many values": (row("1,red,cat,4"), "own.csv, line 6: found 4 values; expected 3"),
    "after a break": ('x,kind\n"1\n2",a\n1\n', "own.csv, line 4: found 1 values"),
    "no number": (row("big,red,cat"), "line 6: 'size' holds 'big'; expected a finite number"),
    "infinite": (row("inf,red,cat"), "line 6: 'size' holds 'inf'"),
    "too large": (row("1e300,red,cat"), "line 6: 'size' holds '1e300'"),
    "underscore": (row("1_0,red,cat"), "line 6: 'size' holds '1_0'"),
    "open quote": (row('1,"red,cat'), "is no CSV"),
    "NUL": (row("1,\0,cat"), "line 6: found a NUL character"),
    "two names": ("a,a,kind\n1,2,x\n", "found 'a' more than once"),
    "no name": ("a,,kind\n1,2,x\n", "column 2 has no name"),
    "empty": ("", "is empty"),
    "head alone": ("size,kind\n", "has no rows"),
    "no label": ("size,colour\n1,red\n", "no column 'kind'; found 'size', 'colour'"),
    "label alone": ("kind\na\nb\n", "has no column beside 'kind'"),
    "column without values": (ROWS.replace("red", "").replace("blue", "").replace("green", ""),
                              "found 2 missing values: 'colour' in line 2"),
    "lonely class": (row("1,red,bird"), "found one sample of class 0, 'line 6'"),
    "free text": (
        "x,kind\n" + "".join(f"text {place},{place % 2}\n" for place in range(2000)),
        "different texts; expected at most 1,000",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_table_is_refused_with_its_line(tmp_path, case):
    text, words = BAD[case]
    written(tmp_path, text)
    refused(tmp_path, words)


def refused(inputs: Path, words: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        spec(**options).read(inputs)
    assert words in str(caught.value)
    assert str(inputs) not in str(caught.value)
    assert caught.value.hint


def test_all_bad_rows_are_named_at_once(tmp_path):
    written(tmp_path, ROWS + "1,red\n" * 12)
    refused(tmp_path, "own.csv, line 6: found 2 values; expected 3")
    refused(tmp_path, "(and 11 more bad rows: own.csv, line 7; own.csv, line 8; ")
    refused(tmp_path, "own.csv, line 15 and 2 more)")
    written(tmp_path, "size,part,kind\n1,train,a\n2,x,b\n3,y,b\n")
    refused(tmp_path, "line 3: 'part' holds 'x'; expected", split_column="part")
    refused(tmp_path, "(and 1 more bad row: own.csv, line 4)", split_column="part")


JSON = '{"size": 1, "kind": "a"}\n'
BAD_LINES = {
    "no JSON": (JSON + "{size: 1}\n", "own.jsonl, line 2: is no JSON"),
    "a list": (JSON + "[1]\n", "own.jsonl, line 2: found list; expected an object"),
    "deep": (JSON + "[" * 100_000 + "\n", "own.jsonl, line 2: is no JSON"),
    "a new key": (JSON + '\n{"size": 1, "hue": 2}\n', "line 3: found 'hue', which the first row"),
    "nested": (JSON + '{"size": [1], "kind": "a"}\n', "line 2: 'size' holds list"),
    "key twice": ('{"size": 1, "size": 2, "kind": "a"}', "line 1: the key 'size' stands there"),
    "infinite": (JSON * 3 + '{"size": Infinity, "kind": "a"}\n', "line 5: 'size' holds 'inf'"),
    "huge": (JSON * 3 + '{"size": 1' + "0" * 400 + ', "kind": "a"}\n', "line 5: 'size' holds"),
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_bad_json_lines_are_refused_with_their_line(tmp_path, case):
    text, words = BAD_LINES[case]
    written(tmp_path, text + JSON if words.startswith("line 5") else text, "own.jsonl")
    refused(tmp_path, words.replace("line 5", "line 4"), path="own.jsonl")


def test_other_files_parts_and_labels_are_refused(tmp_path, monkeypatch):
    refused(tmp_path, "own.csv: no such file in the inputs folder")
    refused(tmp_path, "ends in '.xlsx'; expected one of .csv", path="own.xlsx")
    (tmp_path / "own.csv").write_bytes(b"size,kind\n1,caf\xe9\n")
    refused(tmp_path, "own.csv, line 2: found bytes that are no UTF-8")
    written(tmp_path)
    written(tmp_path, TEST.replace("cat", "cow"), "test.csv")
    refused(tmp_path, "test.csv, line 3: 'kind' holds 'cow'", test_path="test.csv")
    written(tmp_path, TEST.replace("cat", ""), "test.csv")
    refused(tmp_path, "test.csv, line 3: 'kind' is empty", test_path="test.csv")
    refused(tmp_path, "line 2: 'colour' holds 'red'; expected train, test", split_column="colour")
    written(tmp_path, TEST, "test.csv")
    monkeypatch.setattr(table_set, "MAX_BYTES", 95)
    refused(tmp_path, "6 rows of 4 numbers take", test_path="test.csv")


@pytest.mark.parametrize(
    "options",
    [
        {"split_column": "part", "test_path": "test.csv"},
        {"validation_path": "val.csv"},
        {"features": ["kind"]},
        {"features": ["a", "a"]},
        {"split_column": "kind"},
    ],
)
def test_options_that_contradict_each_other_are_refused(options):
    with pytest.raises(ValidationError, match="expected the parts to be told in one way"):
        spec(**options)


def test_parquet_that_is_none_and_a_missing_pyarrow_are_told(tmp_path, monkeypatch):
    (tmp_path / "own.parquet").write_bytes(b"PAR1 and no more")
    refused(tmp_path, "own.parquet: is not a readable Parquet file", path="own.parquet")
    rows = [{"size": place, "day": b"x", "kind": "ab"[place % 2]} for place in range(6)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "own.parquet")
    refused(tmp_path, "own.parquet, row 1: 'day' holds bytes", path="own.parquet")
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ModuleNotFoundError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ExtraMissingError, match="read by pyarrow, which is not installed") as told:
        spec(path="own.parquet").read(tmp_path)
    assert "stillhouse-server[data]" in str(told.value.hint)


def test_a_table_is_distilled_and_the_student_comes_with_its_preparation(tmp_path):
    as_csv(tmp_path / "own.csv", digits_table())
    data = Table(path="own.csv", label="digit", validation_size=30)
    recipe = tiny().model_copy(update={"data": data})
    events = list(distill(recipe, tmp_path / "out", inputs=tmp_path))
    assert any(isinstance(event, VerdictReached) for event in events)
    (config,) = (tmp_path / "out").rglob("config.json")
    told = json.loads(config.read_text())
    assert told["class_names"] == list("0123456789")
    assert len(told["preprocessing"]["columns"]) == 9
    assert told["input_shape"] == [10]
