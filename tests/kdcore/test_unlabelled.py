"""Data without labels: who answers in their place, and what is refused."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
import torch
from digit_images import digits, picture, unpacked
from recipes import tiny

from kdcore import describe
from kdcore.corpus import load_corpus
from kdcore.datasets.arrays import Arrays
from kdcore.datasets.image_folder import ImageFolder
from kdcore.datasets.table import Table
from kdcore.datasets.text import Text
from kdcore.errors import DataError, RecipeError
from kdcore.events import VerdictReached
from kdcore.network import build, predict, weights_bytes
from kdcore.reporting.markdown import as_markdown
from kdcore.reporting.record import Report
from kdcore.story import distill
from kdcore.student import load_student
from kdcore.tasks import TASKS
from kdcore.tensors import HIDDEN

CPU = torch.device("cpu")
EXAMPLE = runpy.run_path(str(Path(__file__).parents[2] / "examples/texts.py"))


def arrays(folder, **labels):
    """Write arrays of four clouds; `train` and `test` say which labels are told."""
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(4, 16)) * 2
    content = {}
    for part, size in (("train", 160), ("test", 80)):
        classes = np.arange(size) % 4
        content[f"x_{part}"] = (centres[classes] + draw.normal(size=(size, 16))).astype("float32")
        if labels.get(part):
            content[f"y_{part}"] = classes
    np.savez(folder / "own.npz", **content)


def recipe(folder, *, data=None, **changes):
    """Return a recipe with a teacher in a file."""
    given = {"name": "arrays", "path": "own.npz", **(data or {})}
    teacher = {"model": {"name": "mlp", "hidden": [24]}, "weights": "teacher.safetensors"}
    asked = tiny(data=given, teacher=teacher, training={"max_steps": 60}, **changes)
    network = build(asked.teacher.model, (16,), 4, seed=3)
    (folder / "teacher.safetensors").write_bytes(weights_bytes(network))
    return asked, network


def run(asked, folder):
    (verdict,) = [
        event.verdict
        for event in distill(asked, folder / "run", inputs=folder)
        if isinstance(event, VerdictReached)
    ]
    return verdict


def test_a_teacher_alone_teaches_where_no_training_sample_has_a_label(tmp_path):
    arrays(tmp_path, test=True)
    asked, teacher = recipe(tmp_path, baseline=False, data={"validation_size": 32})
    verdict = run(asked, tmp_path)
    assert (verdict.metric, verdict.called) == ("accuracy", "accuracy")
    corpus = load_corpus(asked.data, tmp_path, CPU)
    assert corpus.num_classes == 4
    assert len(corpus.validation.labels) == 32
    assert (corpus.train.labels == HIDDEN).all()
    right = predict(teacher, corpus.test.inputs).argmax(1) == corpus.test.labels
    assert verdict.teacher.score.mean == pytest.approx(right.double().mean().item())
    assert verdict.agreement > 0.6  # of four classes: it has learned from the teacher


def test_the_teachers_answers_are_the_measure_where_no_test_sample_has_a_label(tmp_path):
    arrays(tmp_path)
    asked, teacher = recipe(tmp_path, baseline=False, data={"num_classes": 4})
    verdict = run(asked, tmp_path)
    assert verdict.called == "agreement with the teacher"
    assert verdict.teacher.score.mean == 1
    assert verdict.student.score.mean == pytest.approx(verdict.agreement)
    assert "The student's agreement with the teacher is" in verdict.sentence
    assert "the teacher is the measure" in verdict.sentence
    assert "agreement with the teacher" in verdict.rule
    folder = tmp_path / "run" / "artifacts"
    inputs = load_corpus(asked.data, tmp_path, CPU).test.inputs
    same = load_student(folder)(inputs).argmax(1) == predict(teacher, inputs).argmax(1)
    assert verdict.agreement == pytest.approx(same.double().mean().item())
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    assert "agreement with the teacher" in as_markdown(report)
    assert report.data_quality.parts["test"].labelled == 0


def test_a_baseline_of_some_labels_is_measured_by_the_teacher_as_well(tmp_path):
    arrays(tmp_path, train=True)
    with np.load(tmp_path / "own.npz") as file:
        content = dict(file)
    np.savez(tmp_path / "own.npz", **content, y_test=np.full(80, HIDDEN))
    asked, _ = recipe(tmp_path, seeds=[0, 1])
    verdict = run(asked, tmp_path)
    assert verdict.called == "agreement with the teacher"
    assert verdict.baseline.score.mean < verdict.student.score.mean


@pytest.mark.parametrize(
    ("labels", "changes", "pointer", "says"),
    [
        ({"test": True}, {}, "/baseline", "baseline: false"),
        ({"test": True}, {"teacher": {"weights": None}}, "/teacher", "in the training part"),
        ({}, {"teacher": {"weights": None}, "baseline": False}, "/teacher", "training, test part"),
        (
            {"test": True},
            {"baseline": False, "data": {"unlabelled": False}},
            "/data/unlabelled",
            "expected true",
        ),
    ],
)
def test_what_would_learn_from_labels_is_refused(labels, changes, pointer, says, tmp_path):
    arrays(tmp_path, **labels)
    asked, _ = recipe(tmp_path)
    document = asked.model_dump(mode="json")
    for name, value in changes.items():
        document[name] = {**document[name], **value} if isinstance(value, dict) else value
    document["data"]["num_classes"] = 4
    asked = type(asked).model_validate(document)
    with pytest.raises(RecipeError, match=says) as refused:
        run(asked, tmp_path)
    assert refused.value.pointer == pointer


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        ({"y_train": [0, 1, 2, 3]}, {}, "no array y_test"),
        ({}, {}, "0 classes are told"),
        ({"y_test": [0, 1, 2, 3]}, {"num_classes": 3}, "found the label 3"),
        ({"y_train": [0, 1, 0, 1], "y_test": [0, -1, 0, 1]}, {}, "of all or of no sample"),
    ],
)
def test_arrays_that_do_not_tell_their_classes_are_refused(content, options, says, tmp_path):
    x = np.zeros((4, 3), "float32")
    labels = {name: np.array(value) for name, value in content.items()}
    np.savez(tmp_path / "own.npz", x_train=x, x_test=x, **labels)
    with pytest.raises(DataError, match=says):
        load_corpus(Arrays.model_validate({"path": "own.npz", **options}), tmp_path, CPU)


def test_images_in_one_folder_without_classes_are_split_and_none_has_a_label(tmp_path):
    unpacked(tmp_path / "own", {f"unlabelled/{place}.png": picture(place) for place in range(20)})
    spec = ImageFolder(path="own", image_size=8, channels=1)
    source = spec.read(tmp_path)
    assert (len(source.train.labels), len(source.test.labels)) == (16, 4)
    assert torch.cat([source.train.labels, source.test.labels]).unique().tolist() == [HIDDEN]
    assert describe(spec, tmp_path).parts["test"].labelled == 0
    with pytest.raises(DataError, match="no training sample has a label, and 0 classes"):
        load_corpus(spec, tmp_path, CPU)


def test_a_test_folder_tells_the_classes_of_images_without_any(tmp_path):
    files = digits(3, under="test/") | {f"unlabelled/{k}.png": picture(k) for k in range(30, 40)}
    unpacked(tmp_path / "own", files)
    source = ImageFolder(path="own", image_size=8, channels=1).read(tmp_path)
    assert source.class_names == ("one", "two", "zero")
    assert source.train.labels.tolist() == [HIDDEN] * 10
    assert sorted(source.test.labels.tolist()) == [0, 0, 0, 1, 1, 1, 2, 2, 2]


def test_texts_may_have_no_column_of_labels(tmp_path):
    rows = [row["text"] for row in EXAMPLE["messages"]()][:20]
    EXAMPLE["tokenizer"](rows).save(str(tmp_path / "tokenizer.json"))
    (tmp_path / "own.jsonl").write_text("\n".join(json.dumps({"text": row}) for row in rows))
    spec = Text(path="own.jsonl", tokenizer="tokenizer.json", label=None)
    source = spec.read(tmp_path)
    assert (len(source.train.labels), len(source.test.labels)) == (16, 4)
    assert source.train.labels.unique().tolist() == [HIDDEN]
    (tmp_path / "test.jsonl").write_text(
        "\n".join(json.dumps({"text": row, "label": row[0]}) for row in rows)
    )
    (tmp_path / "own.jsonl").write_text(
        "\n".join(json.dumps({"text": row, "label": None}) for row in rows)
    )
    told = Text(path="own.jsonl", tokenizer="tokenizer.json", test_path="test.jsonl").read(tmp_path)
    assert told.class_names == tuple(sorted({row[0] for row in rows}))
    assert told.train.labels.unique().tolist() == [HIDDEN]


def test_a_test_table_tells_the_classes_of_rows_without_any(tmp_path):
    (tmp_path / "own.csv").write_text("a,kind\n1,\n2,\n3,\n")
    (tmp_path / "test.csv").write_text("a,kind\n1,tall\n2,short\n")
    source = Table(path="own.csv", test_path="test.csv", label="kind").read(tmp_path)
    assert source.class_names == ("short", "tall")
    assert source.train.labels.tolist() == [HIDDEN] * 3
    assert source.test.labels.tolist() == [1, 0]


def table(folder, task, *, tell=lambda place: place >= 0):
    """Read a table with a column for the class and two that say yes or no, where they are told."""
    rows = []
    for place in range(20):
        part = "test" if place > 15 else "train"
        kind, other = ("dog", "cat")[place % 2], ("yes", "no")[place % 3 % 2]
        answers = {"kind": kind, "yes": other, "no": other, "size": place}
        told = answers if tell(place) else dict.fromkeys(answers)
        rows.append(json.dumps({"x": place, "part": part, **told}))
    (folder / "rows.jsonl").write_text("\n".join(rows))
    asked = {"multi_label": {"labels": ["yes", "no"]}, "regression": {"label": "size"}}
    columns = asked.get(task, {"label": "kind"})
    spec = Table(path="rows.jsonl", split_column="part", features=["x"], **columns)
    return load_corpus(spec, folder, CPU, TASKS[task]()), describe(spec, folder, task=task)


def test_the_test_rows_of_a_table_all_have_a_class_or_none_has(tmp_path):
    corpus, report = table(tmp_path, "classification", tell=lambda place: place < 16)
    assert corpus.lacks_labels("test")
    assert report.faults.count == 0
    assert (report.parts["train"].unlabelled, report.parts["test"].unlabelled) == (0, 4)
    with pytest.raises(DataError, match="line 17: 'kind' is empty"):
        table(tmp_path, "classification", tell=lambda place: place != 16)


@pytest.mark.parametrize("task", ["multi_label", "regression"])
def test_a_teacher_answers_for_classes_alone(tmp_path, task):
    with pytest.raises(DataError, match=r"line 17: '(yes|size)' is empty"):
        table(tmp_path, task, tell=lambda place: place < 16)
