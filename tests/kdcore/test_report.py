"""The report: its numbers against other ways to count them, and a page that nothing can abuse."""

from __future__ import annotations

import base64
import io
import json
import math
from html.parser import HTMLParser
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from PIL import Image
from recipes import tiny
from sklearn.metrics import confusion_matrix, recall_score
from stage_worker import reported

from kdcore.dataset import Samples
from kdcore.examine import calibration, confusion, examine, picture
from kdcore.quality import ClassQuality
from kdcore.reporting import figures
from kdcore.reporting.markdown import as_markdown
from kdcore.reporting.page import as_page
from kdcore.reporting.pareto import points
from kdcore.reporting.record import Report
from kdcore.story import distill
from kdcore.task import Said

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt; </title></style>"


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def labelled(count, classes, seed=1):
    labels = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(seed))
    return Samples(draw(count, 1, 8, 8), labels)


def quality(classes=5, count=200, names=()) -> ClassQuality:
    samples = labelled(count, classes)
    near = torch.nn.functional.one_hot(samples.labels, classes) * 2.0
    return examine(
        Said(
            samples,
            teacher=near + draw(count, classes, seed=2),
            students={seed: near + 2 * draw(count, classes, seed=seed) for seed in (3, 4)},
            baselines={seed: 3 * draw(count, classes, seed=10 + seed) for seed in (3, 4)},
            seed=4,
            names=names,
        )
    )


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for _ in distill(tiny(seeds=[1, 2, 3], gates=["retention >= 0.1"]), folder):
        pass
    return folder / "artifacts"


def test_the_calibration_error_is_that_of_a_plain_loop():
    logits, labels = 2 * draw(500, 7), labelled(500, 7).labels
    bins: dict[int, list[tuple[float, bool]]] = {}
    for row, label in zip(logits.double().softmax(1).tolist(), labels.tolist(), strict=True):
        sure = max(row)
        bins.setdefault(math.ceil(sure * 15), []).append((sure, row.index(sure) == label))
    error = sum(
        abs(sum(sure for sure, _ in one) - sum(hit for _, hit in one)) for one in bins.values()
    ) / len(labels)
    found = calibration(logits, labels)
    assert found.ece == pytest.approx(error, abs=1e-12)
    assert sum(one.count for one in found.bins) == 500
    assert [one.confidence for one in found.bins] == sorted(one.confidence for one in found.bins)


def test_who_is_surely_right_is_calibrated_and_who_is_surely_wrong_is_not():
    labels = torch.arange(4)
    sure = torch.eye(4) * 100
    assert calibration(sure, labels).ece == pytest.approx(0, abs=1e-9)
    assert calibration(sure, labels.roll(1)).ece == pytest.approx(1, abs=1e-9)


def test_confusion_and_classes_are_those_of_scikit_learn():
    samples = labelled(300, 6)
    logits = {seed: draw(300, 6, seed=seed) for seed in range(4)}
    answers = {seed: one.argmax(1) for seed, one in logits.items()}
    expected = confusion_matrix(samples.labels, answers[1], labels=range(6))
    assert confusion(logits[1], samples.labels) == expected.tolist()
    found = examine(
        Said(
            samples,
            teacher=logits[0],
            students={1: logits[1], 2: logits[2]},
            baselines={1: logits[3]},
            seed=1,
        )
    )
    recalled = [
        recall_score(samples.labels, answers[seed], labels=range(6), average=None)
        for seed in range(4)
    ]
    for place, one in enumerate(found.classes):
        assert one.teacher == pytest.approx(recalled[0][place])
        assert one.student == pytest.approx((recalled[1][place] + recalled[2][place]) / 2)
        assert one.baseline == pytest.approx(recalled[3][place])
    assert found.both_right + found.only_teacher + found.only_student + found.neither == 300


def test_disagreements_are_the_teachers_right_and_the_students_surest_wrong_answers():
    found = quality()
    sure = [one.confidence for one in found.disagreements]
    assert sure == sorted(sure, reverse=True)
    assert all(one.label != one.answer for one in found.disagreements)
    assert 0 < len(found.disagreements) <= min(12, found.only_teacher)


def test_very_many_classes_are_told_in_part():
    found = quality(classes=1_500, count=3_000)
    assert found.confusion is None
    assert len(found.classes) <= 1_000
    assert as_page_of(found)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_picture_is_a_png_of_its_pixels(channels):
    image = draw(channels, 5, 4)
    content = base64.b64decode(picture(image) or "")
    with Image.open(io.BytesIO(content), formats=["PNG"]) as opened:
        assert (opened.mode, opened.size) == ({1: "L", 3: "RGB"}[channels], (4, 5))
        pixels = np.asarray(opened).reshape(-1).tolist()
    scaled = (image - image.min()) / (image.max() - image.min()) * 255
    assert pixels == scaled.round().permute(1, 2, 0).flatten().int().tolist()


def test_what_is_no_image_has_no_picture_and_a_large_one_is_shrunk():
    assert picture(draw(16)) is None
    assert picture(draw(2, 8, 8)) is None
    content = base64.b64decode(picture(draw(1, 300, 20)) or "")
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.size == (20, 96)
    assert picture(torch.zeros(1, 4, 4)) is not None, "an image of one colour"


def test_the_report_holds_all_that_the_run_has_told(told):
    report = Report.model_validate_json((told / "report.json").read_bytes())
    assert report.verdict.model_dump(mode="json") == json.loads((told / "verdict.json").read_text())
    assert report.recipe == json.loads((told / "recipe.json").read_text())
    assert [one.stage for one in report.stages] == [
        "teacher",
        *(f"{role}-{seed}" for seed in (1, 2, 3) for role in ("baseline", "student")),
    ]
    assert all(one.seconds > 0 for one in report.stages)
    assert set(report.digests) == {"recipe", "data"}
    for one in report.quality.classes:
        assert 0 <= one.student <= 1
    student = sum(one.student * one.count for one in report.quality.classes)
    total = sum(one.count for one in report.quality.classes)
    assert student / total == pytest.approx(report.verdict.student.score.mean)
    assert (told / "report.md").read_text() == as_markdown(report)
    assert (told / "report.html").read_text() == as_page(report)


def test_markdown_is_short_and_folds_classes_trainings_and_what_it_was_made_with():
    report = sample().model_copy(
        update={"quality": quality(classes=40, count=900, names=["a|b <i>"]), **made()}
    )
    text = as_markdown(report)
    open_part, *folded = text.split("<details>")
    assert len(open_part) < 3_000
    assert all(one.count("</details>") == 1 for one in folded)
    assert [one.split("<summary>")[1].split("</summary>")[0] for one in folded] == [
        "Student minus baseline by class: the 10 of 40 that changed most",
        "1 training in 1.5 seconds",
        "Made with",
    ]
    classes, trainings, made_with = (rows(one) for one in folded)
    changes = [abs(float(row[-1])) for row in classes]
    assert len(changes) == 10
    assert changes == sorted(changes, reverse=True)
    assert max(changes) == pytest.approx(
        max(abs(100 * (one.student - one.baseline)) for one in report.quality.classes), abs=0.051
    )
    assert trainings == [["teacher", "0", "300", "1.5", "97.00 %"]]
    assert ["sha256 of the data", "`" + "cd" * 32 + "`"] in made_with
    assert ["torch", "2.13.0"] in made_with
    assert "<i>" not in text


def made():
    (stage,) = reported().stages
    return {"stages": [stage.model_copy(update={"scores": {"accuracy": 0.97}})]}


def rows(folded: str) -> list[list[str]]:
    """Return the cells of a table in Markdown, without its head."""
    lines = [line for line in folded.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


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


def as_page_of(found: ClassQuality, **changes) -> str:
    return as_page(sample().model_copy(update={"quality": found, **changes}))


def sample() -> Report:
    return reported().model_copy(update={"stages": []})


def test_the_page_loads_nothing_and_runs_nothing_whatever_it_is_given():
    found = quality(names=[f"{HOSTILE}{place}" for place in range(5)])
    gate = sample().verdict.gates[0].model_copy(update={"gate": HOSTILE})
    verdict = sample().verdict.model_copy(update={"gates": [gate], "sentence": HOSTILE})
    text = as_page_of(found, name=HOSTILE, verdict=verdict, versions={HOSTILE: HOSTILE})
    page = Page(text)
    assert "script" not in page.tags
    assert not page.tags & {"iframe", "object", "embed", "link", "form", "a"}
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    sources = [value for name, value in page.attributes if name in {"src", "href"}]
    assert sources
    assert all(str(value).startswith("data:image/png;base64,") for value in sources)
    assert "http" not in text.replace("http-equiv", "")
    assert text.count("</style>") == 1


@pytest.mark.parametrize("classes", [2, 10, 30, 150])
def test_figures_are_well_formed_and_say_what_they_show(classes):
    found = quality(classes=classes, count=900)
    verdict = sample().verdict
    names = [one.name for one in found.classes]
    drawn = [
        figures.reliability(found.calibration),
        figures.tradeoff(points(verdict), "size_bytes", "bytes", "accuracy") or "",
        figures.changes(found.classes, "accuracy"),
        figures.confusion(found.confusion or [], names),
    ]
    for svg in drawn:
        root = ET.fromstring(svg)  # noqa: S314  # our own
        assert root.attrib["role"] == "img"
        assert len(root.attrib["aria-label"]) > 20
        assert "nan" not in svg
