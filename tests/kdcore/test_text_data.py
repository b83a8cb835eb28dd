"""Texts become ids by a tokenizer's own file, which goes with the student; bad rows are named."""

import csv
import importlib.util
import json
import runpy
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from pydantic import ValidationError
from recipes import encoder, tiny
from saved_datasets import classes, saved, saved_splits, value

from kdcore import describe, distill
from kdcore.corpus import load_corpus
from kdcore.dataset import Samples
from kdcore.datasets.huggingface_text import HuggingfaceText
from kdcore.datasets.synthetic_text import SyntheticText
from kdcore.datasets.text import Text
from kdcore.errors import DataError, ExtraMissingError
from kdcore.events import VerdictReached
from kdcore.examine import examine
from kdcore.network import predict
from kdcore.student import load_student
from kdcore.task import Said
from kdcore.vision import import_transformers

EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples/texts.py"))
messages, tokenizer = EXAMPLE["messages"], EXAMPLE["tokenizer"]
GOOD = [
    {"text": "the parcel is late", "label": "delivery"},
    {"text": "Refund my card!", "label": "billing"},
    {"text": "a courier at the door", "label": "delivery"},
    {"text": "the invoice is odd", "label": "billing"},
]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trained() -> Any:
    """Return word pieces, trained once."""
    return tokenizer([row["text"] for row in messages()])


@pytest.fixture
def inputs(tmp_path: Path, trained: Any) -> Path:
    trained.save(str(tmp_path / "tokenizer.json"))
    written(tmp_path / "own.jsonl", GOOD)
    return tmp_path


def written(file: Path, rows: list[dict[str, Any]]) -> None:
    file.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


def spec(**options: Any) -> Text:
    given = {"path": "own.jsonl", "tokenizer": "tokenizer.json", "test_share": 0.5}
    return Text.model_validate(given | options)


def test_ids_are_the_tokenizers_own_padded_to_the_longest_text(inputs, trained):
    written(inputs / "test.jsonl", GOOD[:1])
    source = spec(test_path="test.jsonl").read(inputs)
    expected = [trained.encode(row["text"]).ids for row in GOOD]
    length = max(map(len, expected))
    assert source.ids == (length,)
    assert (source.ids.vocabulary, source.ids.pad) == (trained.get_vocab_size(), 0)
    padded = [ids + [0] * (length - len(ids)) for ids in expected]
    assert source.train.inputs.tolist() == padded
    assert source.train.inputs.dtype == torch.int64
    assert source.test.inputs.shape == (1, length)
    assert source.test.texts == ("the parcel is late",)
    assert source.class_names == ("billing", "delivery")
    assert source.train.labels.tolist() == [1, 0, 1, 0]
    assert source.preprocessing["kind"] == "text"
    assert set(source.files) == {"tokenizer.json", "tokenizer_config.json"}
    assert source.files["tokenizer.json"] == (inputs / "tokenizer.json").read_bytes()


def test_all_kinds_of_files_are_read_alike(inputs):
    with (inputs / "own.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, ["text", "label"])
        writer.writeheader()
        writer.writerows(GOOD)
    pq.write_table(pa.Table.from_pylist(GOOD), inputs / "own.parquet")
    written(inputs / "test.jsonl", GOOD[:1])
    found = [
        spec(path=f"own.{kind}", test_path="test.jsonl").read(inputs).train
        for kind in ("jsonl", "csv", "parquet")
    ]
    for other in found[1:]:
        assert torch.equal(other.inputs, found[0].inputs)
        assert torch.equal(other.labels, found[0].labels)


def test_texts_without_a_label_are_for_training(inputs):
    written(inputs / "own.jsonl", [*GOOD, {"text": "my door", "label": None}])
    (inputs / "more.txt").write_text("a late parcel\n\n  refund\n")
    source = spec(unlabelled_path="more.txt").read(inputs)
    assert sorted(source.train.labels.tolist()) == [-1, -1, -1, 0, 1]
    assert sorted(source.test.labels.tolist()) == [0, 1]


def test_a_column_or_files_tell_the_parts(inputs):
    parts = ["train", "training", "TEST", "val"]
    rows = [row | {"part": part} for row, part in zip(GOOD, parts, strict=True)]
    written(inputs / "own.jsonl", rows)
    told = spec(split_column="part").read(inputs)
    assert (len(told.train.labels), len(told.test.labels)) == (2, 1)
    assert told.validation is not None
    assert told.validation.labels.tolist() == [0]
    written(inputs / "held.jsonl", GOOD[:2])
    files = spec(test_path="held.jsonl", validation_path="held.jsonl").read(inputs)
    assert files.validation is not None
    assert torch.equal(files.validation.inputs, files.test.inputs)
    assert spec(test_path="held.jsonl", validation_path="held.jsonl").may_validate()
    assert not spec().may_validate()


def test_the_draw_is_the_seeds_and_takes_from_each_class(inputs):
    written(inputs / "own.jsonl", GOOD * 5)
    one, again, other = (spec(split_seed=seed).read(inputs).test for seed in (0, 0, 1))
    assert torch.equal(one.inputs, again.inputs)
    assert one.texts != other.texts
    assert one.labels.sum() == 5
    assert len(one.labels) == 10


def test_long_texts_are_cut_and_told(inputs, trained):
    source = spec(max_length=4).read(inputs)
    assert source.ids == (4,)
    (warned,) = source.warnings
    assert warned.code == "texts_cut"
    assert "4 of 4 texts" in warned.message
    ends = source.train.inputs[:, -1].tolist()
    assert ends == [trained.token_to_id("[SEP]")] * len(ends)


def pairs(inputs: Path) -> None:
    rows = [row | {"text_pair": other["text"]} for row, other in zip(GOOD, GOOD[::-1], strict=True)]
    written(inputs / "own.jsonl", rows * 6)


def test_a_pair_is_one_row_of_ids_with_a_separator(inputs, trained):
    pairs(inputs)
    source = spec(text_pair="text_pair").read(inputs)
    assert source.ids is not None
    assert source.ids.separator == trained.token_to_id("[SEP]")
    first = trained.encode("the parcel is late", "the invoice is odd").ids
    assert first in [row[: len(first)] for row in source.train.inputs.tolist()]
    assert "the parcel is late / the invoice is odd" in source.test.texts
    assert spec().read(inputs).ids.separator is None


def test_another_tokenizer_is_other_data(inputs):
    def fingerprint() -> str:
        return load_corpus(spec(), inputs, CPU).fingerprint

    before = fingerprint()
    assert fingerprint() == before
    document = json.loads((inputs / "tokenizer.json").read_bytes())
    document["version"] = "1.0"
    (inputs / "tokenizer.json").write_text(json.dumps(document))
    assert fingerprint() != before, "the same ids, and another file to be delivered"


@pytest.mark.parametrize(
    ("rows", "options", "words"),
    [
        (
            [*GOOD, {"text": None, "label": "a"}, {"text": " ", "label": "a"}],
            {},
            "no text .* in line 5, line 6; expected it in none",
        ),
        (GOOD, {"text": "body"}, "no column 'body'; found 'text', 'label'"),
        (GOOD, {"label": "kind"}, "no column 'kind'"),
        (GOOD, {"text_pair": "second"}, "no column 'second'"),
        (
            [row | {"part": "test" if place else "new"} for place, row in enumerate(GOOD)],
            {"split_column": "part"},
            "a 'part' that is none of train, test and validation in line 1",
        ),
        (
            [
                {**GOOD[0], "part": "train"},
                {**GOOD[1], "part": "train"},
                {"text": "odd", "label": "other", "part": "test"},
                {"text": "odd", "label": None, "part": "test"},
            ],
            {"split_column": "part"},
            r"own.jsonl, line 3 \('other'\), own.jsonl, line 4 \(none\)",
        ),
        (GOOD[:1], {}, "found one sample of class 0"),
    ],
)
def test_a_bad_row_is_named(rows, options, words, inputs):
    written(inputs / "own.jsonl", rows)
    with pytest.raises(DataError, match=words):
        spec(**options).read(inputs)


def test_a_text_without_a_token_is_named(inputs):
    document = json.loads((inputs / "tokenizer.json").read_bytes())
    document["post_processor"] = None
    (inputs / "tokenizer.json").write_text(json.dumps(document))
    written(inputs / "own.jsonl", [*GOOD, {"text": "\u200b\u200b", "label": None}])
    with pytest.raises(DataError, match=r"a text without a token in own\.jsonl, line 5"):
        spec().read(inputs)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "no such file in the inputs folder"),
        (b"{}", "no readable tokenizer.json"),
        (b"\xff", "no readable tokenizer.json"),
        (b'{"model": {"type": "WordLevel", "vocab": {}, "unk_token": "?"}}', "without a token"),
        (
            b'{"model": {"type": "WordLevel", "vocab": {"a": 0}, "unk_token": "a"}}',
            r"no token '\[PAD\]' or '<pad>' for padding",
        ),
    ],
)
def test_what_is_no_tokenizer_is_told(content, words, inputs):
    file = inputs / "tokenizer.json"
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(DataError, match=words):
        spec().read(inputs)


def test_the_token_of_padding_may_be_named(inputs, trained):
    assert spec(pad_token="[MASK]").read(inputs).ids.pad == trained.token_to_id("[MASK]")  # noqa: S106
    with pytest.raises(DataError, match="no token 'none' for padding"):
        spec(pad_token="none").read(inputs)  # noqa: S106


@pytest.mark.parametrize(
    ("options", "content", "words"),
    [
        ({"path": "own.txt"}, b"a\n", "a text file, which has no columns such as 'label'"),
        ({"unlabelled_path": "own.txt"}, b"a\n\xff\n", "line 2: found bytes that are no UTF-8"),
        ({"unlabelled_path": "other.txt"}, b"", "no such file"),
        ({"path": "own.xml"}, b"", "expected one of .csv"),
    ],
)
def test_a_file_that_is_not_what_it_should_be_is_told(options, content, words, inputs):
    (inputs / "own.txt").write_bytes(content)
    with pytest.raises(DataError, match=words):
        spec(**options).read(inputs)


@pytest.mark.parametrize(
    "options",
    [
        {"split_column": "part", "test_path": "test.jsonl"},
        {"validation_path": "test.jsonl"},
        {"label": "text"},
        {"text_pair": "text"},
        {"text_pair": "more", "unlabelled_path": "more.TXT"},
        {"augmentation": {"horizontal_flip": True}},
        {"max_length": 1},
        {"tokenizer": "../tokenizer.json"},
    ],
)
def test_options_that_mean_nothing_are_refused_when_posted(options):
    with pytest.raises(ValidationError):
        spec(**options)


def test_a_missing_library_is_an_extra_that_is_named(inputs, monkeypatch):
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "tokenizers" else found(name)
    )
    with pytest.raises(ExtraMissingError, match="expected the extra `hub`"):
        spec().read(inputs)


DISTILBERT = {
    "name": "huggingface_config",
    "config": {"model_type": "distilbert", "n_layers": 1, "n_heads": 2, "dim": 8, "hidden_dim": 8},
}


@pytest.mark.parametrize("student", [encoder(1, 8), DISTILBERT])
@pytest.mark.parametrize("paired", [False, True])
def test_the_delivered_folder_is_opened_by_transformers_with_equal_logits(student, paired, inputs):
    pairs(inputs)
    options = {"text_pair": "text_pair"} if paired else {}
    data = {"name": "text", "path": "own.jsonl", "tokenizer": "tokenizer.json", "max_length": 16}
    recipe = tiny(
        teacher={"model": encoder(2, 16)},
        student={"model": student},
        data=data | {"test_share": 0.5} | options,
        training={"max_steps": 3, "per_device_train_batch_size": 8},
        baseline=False,
        method="kd",
    )
    (told,) = (
        event
        for event in distill(recipe, inputs / "work", inputs=inputs)
        if isinstance(event, VerdictReached)
    )
    assert told.verdict.teacher.flops > 0
    folder = inputs / "work/artifacts"
    transformers = import_transformers()
    theirs = transformers.AutoModelForSequenceClassification.from_pretrained(folder).eval()
    tokens = transformers.AutoTokenizer.from_pretrained(folder)
    texts = [row["text"] for row in GOOD]
    given = (texts, texts[::-1]) if paired else (texts,)
    encoded = tokens(*given, truncation=True, padding=True, return_tensors="pt")
    assert ("token_type_ids" in encoded) == (paired and student is not DISTILBERT)
    with torch.no_grad():
        expected = theirs(**encoded).logits
    torch.testing.assert_close(predict(load_student(folder), encoded["input_ids"]), expected)
    assert theirs.config.id2label == {0: "billing", 1: "delivery"}
    assert "AutoTokenizer" in (folder / "README.md").read_text()


def test_the_report_shows_the_beginning_of_texts_that_the_student_gets_wrong():
    from test_report import as_page_of

    texts = ("<b>odd</b>", "refund " * 100, "late")
    labels = torch.tensor([0, 1, 1])
    right = torch.nn.functional.one_hot(labels, 2).float()
    wrong = right.flip(1) * torch.tensor([[3.0], [2.0], [1.0]])
    samples = Samples(torch.ones(3, 4, dtype=torch.int64), labels, texts)
    found = examine(Said(samples, right, {0: wrong}, {}, seed=0))
    told = [one.text for one in found.disagreements]
    assert told == ["<b>odd</b>", ("refund " * 100)[:279] + "…", "late"]
    assert [one.picture for one in found.disagreements] == [None] * 3
    page = as_page_of(found)
    assert "&lt;b&gt;odd&lt;/b&gt;" in page
    assert "<b>odd" not in page


TOLD = {"text": value("string"), "label": classes("delivery", "billing")}
NUMBERS = {"delivery": 0, "billing": 1}


def saved_rows(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"label": NUMBERS.get(str(row["label"]), -1)} for row in rows]


def of_saved(**options: Any) -> HuggingfaceText:
    given = {"path": "saved", "tokenizer": "tokenizer.json", "test_share": 0.5}
    return HuggingfaceText.model_validate(given | options)


def test_texts_that_datasets_saved_are_read_as_those_of_a_table(inputs):
    splits = {"train": saved_rows([*GOOD, {"text": "odd", "label": None}])}
    splits |= {"test": saved_rows(GOOD[:2]), "validation": saved_rows(GOOD[2:])}
    saved_splits(inputs / "saved", splits, TOLD)
    written(inputs / "test.jsonl", GOOD[:2])
    source, table = of_saved().read(inputs), spec(test_path="test.jsonl").read(inputs)
    assert source.class_names == ("delivery", "billing")
    assert table.class_names == ("billing", "delivery")
    assert source.train.labels.tolist() == [0, 1, 0, 1, -1]
    assert torch.equal(source.train.inputs[:4], table.train.inputs)
    assert source.test.texts == table.test.texts
    assert source.validation is not None
    assert source.validation.labels.tolist() == [0, 1]


def test_a_split_that_datasets_saved_is_drawn_from(inputs):
    saved(inputs / "saved", saved_rows(GOOD * 5), TOLD)
    source = of_saved().read(inputs)
    assert (len(source.train.labels), len(source.test.labels)) == (10, 10)
    alone = of_saved(label=None).read(inputs)
    assert alone.train.labels.unique().tolist() == [-1]


def test_bad_rows_of_a_saved_folder_are_named(inputs):
    features = TOLD | {"text_pair": value("string")}
    rows = [row | {"text_pair": "a"} for row in saved_rows(GOOD * 2)]
    rows[2]["text_pair"], rows[5]["text"] = None, "NA"
    saved(inputs / "saved", rows, features)
    with pytest.raises(DataError, match="saved: found no text in row 3, row 6; expected it"):
        of_saved(text_pair="text_pair").read(inputs)
    with pytest.raises(DataError, match="no column 'body'"):
        of_saved(text="body").read(inputs)
    report = describe(of_saved(text_pair="text_pair"), inputs)
    assert [one.name for one in report.faults.shown] == ["saved, row 3", "saved, row 6"]


@pytest.mark.parametrize(
    "options", [{"label": "text"}, {"augmentation": {"horizontal_flip": True}}]
)
def test_options_of_saved_texts_that_mean_nothing_are_refused_when_posted(options):
    with pytest.raises(ValidationError):
        of_saved(**options)


def test_the_data_report_names_every_bad_row_and_counts_the_others(inputs, trained):
    rows = [row | {"part": "train" if place < 3 else "test"} for place, row in enumerate(GOOD)]
    bad = [
        {"text": None, "label": "billing", "part": "train"},
        {"text": "odd", "label": "billing", "part": "later"},
        {"text": "odd", "label": "other", "part": "test"},
        {"text": "odd", "label": None, "part": "test"},
        GOOD[0] | {"part": "test"},
    ]
    written(inputs / "own.jsonl", [*rows, *bad])
    with (inputs / "own.jsonl").open("a") as stream:
        stream.write("\n{no JSON\n")
    report = describe(spec(split_column="part", max_length=4), inputs)
    assert report.kind == "texts"
    assert {part: one.samples for part, one in report.parts.items()} == {"train": 3, "test": 2}
    assert {one.name: one.counts for one in report.classes} == {
        "billing": {"train": 1, "test": 1},
        "delivery": {"train": 2, "test": 1},
    }
    told = {one.name.removeprefix("own.jsonl, line "): one.reason for one in report.faults.shown}
    assert set(told) == {"5", "6", "7", "8", "10"}
    assert told["5"] == "has no text (an empty cell, NA, null or none)"
    assert told["6"].startswith("has a 'part' that is none of train")
    assert told["7"].startswith("has 'other' for a 'label' that is none of the training part's")
    assert told["8"].startswith("has none for a 'label'")
    assert report.duplicates.across == {"test in train": 1}
    codes = [note.code for note in report.notes]
    assert codes[:2] == ["unusable_samples", "texts_cut"]


def test_the_data_report_names_a_text_without_a_token(inputs):
    document = json.loads((inputs / "tokenizer.json").read_bytes())
    document["post_processor"] = None
    (inputs / "tokenizer.json").write_text(json.dumps(document))
    written(inputs / "own.jsonl", [{"text": "\u200b\u200b", "label": None}, *GOOD])
    report = describe(spec(), inputs)
    assert [one.name for one in report.faults.shown] == ["own.jsonl, line 1"]
    assert sum(one.samples for one in report.parts.values()) == len(GOOD)
    assert describe(SyntheticText(), inputs).kind == "texts"
