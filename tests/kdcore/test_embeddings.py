"""Vectors: taught by a cosine, measured by the teacher's own, and held against scikit-learn."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from digit_images import picture, unpacked
from pydantic import ValidationError
from recipes import IMAGES, small_method, tiny
from sklearn.metrics.pairwise import cosine_similarity
from sklearn.neighbors import NearestNeighbors

from kdcore.corpus import load_corpus
from kdcore.dataset import Samples
from kdcore.datasets.image_folder import ImageFolder
from kdcore.errors import WeightsError
from kdcore.events import StageEvaluated, StageFinished, VerdictReached
from kdcore.examine_vectors import examine_vectors, neighbours
from kdcore.network import build, weights_bytes
from kdcore.objectives.cosine import Cosine, cosine_loss
from kdcore.recipe import Recipe
from kdcore.reporting.markdown import as_markdown
from kdcore.reporting.page import as_page
from kdcore.reporting.record import Report
from kdcore.story import distill
from kdcore.student import load_student
from kdcore.task import Said
from kdcore.tasks.embedding import Embedding
from kdcore.temperature import Softened
from kdcore.tensors import HIDDEN, Batch, Outputs, Seen, Taps
from kdcore.validation import explain

TASK = {"name": "embedding", "dimensions": 6}
DATA = {"name": "synthetic", "validation_size": 32}
TAUGHT = {"weights": "teacher.safetensors"}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def vectors(**changes):
    """Return a recipe of vectors, whose teacher is in a file."""
    task = {"task": TASK, "data": DATA, "teacher": TAUGHT, "training": {"max_steps": 40}}
    document = tiny().model_dump(mode="json", exclude={"objectives", "temperature", "method"})
    document |= {"data": DATA, "seeds": [0], "method": "kd"}
    del document["baseline"]
    document["teacher"] |= TAUGHT
    for name, value in {**task, **changes}.items():
        before = document.get(name)
        document[name] = {**before, **value} if isinstance(before, dict) else value
    return document


def a_teacher(document, folder):
    """Put weights of the teacher that a recipe describes into a folder."""
    recipe = Recipe.model_validate(document)
    form = recipe.form()
    assert form is not None
    network = build(recipe.teacher.model, *form, seed=5)
    (folder / "teacher.safetensors").write_bytes(weights_bytes(network))
    return recipe, network


def test_the_cosine_is_its_formula_whatever_the_lengths():
    student, teacher = draw(5, 7).double(), draw(5, 7, seed=1).double()
    batch = Batch(torch.zeros(5, 1), torch.zeros(5).long(), torch.arange(5), 0)
    outputs = Outputs(student, {}), Outputs(3 * teacher, {})
    seen = Seen(*outputs, batch, epoch=0, progress=0.0, taps=Taps(), seed=0)
    expected = 1 - np.diag(cosine_similarity(student, teacher))
    term = Cosine().loss(seen, Softened(student, teacher, 1.0), None)
    assert term.tolist() == pytest.approx(expected.tolist())
    assert cosine_loss(student, teacher).item() == pytest.approx(expected.mean())
    assert cosine_loss(teacher, 2 * teacher).item() == pytest.approx(0)


def test_scores_are_those_of_scikit_learn():
    outputs, truth, teacher = (draw(80, 6, seed=seed).double() for seed in (1, 2, 3))
    scores = Embedding(dimensions=6).score(outputs, truth, teacher)
    assert scores["cosine"] == pytest.approx(np.diag(cosine_similarity(outputs, truth)).mean())
    assert scores["loss"] == pytest.approx(1 - scores["cosine"])
    assert scores["agreement"] == pytest.approx(np.diag(cosine_similarity(outputs, teacher)).mean())


def test_neighbours_are_those_of_scikit_learn():
    vectors = draw(300, 6)
    search = NearestNeighbors(n_neighbors=5, metric="cosine").fit(vectors)
    expected = search.kneighbors(return_distance=False)  # without the sample itself
    assert neighbours(vectors, 5).tolist() == expected.tolist()


def test_the_report_tells_who_finds_the_teachers_neighbours_and_the_classes():
    teacher = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    student = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.9, 0.1], [0.1, 0.9]])

    def told(own):
        samples = Samples(torch.zeros(4, 1), teacher, own=own)
        return examine_vectors(Said(samples, teacher, {0: student}, {}, seed=0))

    classes = torch.tensor([0, 0, 1, 1])
    found = told(classes)
    assert (found.searched, found.neighbours) == (4, 3)
    assert found.networks["teacher"].model_dump() == {
        "nearest": 1.0,
        "overlap": 1.0,
        "same_class": 1.0,
    }
    assert found.networks["student"].nearest == 0
    assert found.networks["student"].overlap == 1  # three of three others
    assert found.networks["student"].same_class == 0
    unit = torch.nn.functional.normalize(teacher, dim=1).double()
    best = torch.nn.functional.normalize(unit.mean(0), dim=0)
    assert found.constant == pytest.approx((unit @ best).mean().item())
    assert told(torch.full((4,), HIDDEN)).networks["student"].same_class is None


def test_vectors_are_taught_from_a_recipe_to_every_form(tmp_path):
    document = vectors(
        seeds=[0, 1], export=["onnx", "exported", "int8"], training={"max_steps": 90}
    )
    recipe, teacher = a_teacher(document, tmp_path)
    assert [(one.name, one.weight) for one in recipe.objectives] == [("cosine", 1.0)]
    assert not recipe.baseline.enabled
    events = list(distill(recipe, tmp_path / "run", inputs=tmp_path))
    (verdict,) = [event.verdict for event in events if isinstance(event, VerdictReached)]
    assert (verdict.metric, verdict.baseline, verdict.uplift) == ("cosine", None, None)
    assert "cosine similarity to the teacher is" in verdict.sentence
    assert "nobody can say what distillation was worth" in verdict.sentence
    assert verdict.teacher.score.mean == pytest.approx(1)
    measured = [event for event in events if isinstance(event, StageEvaluated)]
    assert measured[-1].scores["cosine"] > measured[0].scores["cosine"]
    assert verdict.int8
    assert verdict.int8.score == pytest.approx(verdict.student.score.mean, abs=0.05)

    folder = tmp_path / "run" / "artifacts"
    config = json.loads((folder / "config.json").read_text())
    assert (config["task"], config["num_classes"]) == ("embedding", 6)
    inputs = recipe.data.read(tmp_path).test.inputs
    mine, theirs = (network(inputs).detach() for network in (load_student(folder), teacher))
    session = onnxruntime.InferenceSession(folder / "student.onnx")
    (same,) = session.run(None, {"inputs": inputs.numpy()})
    assert np.allclose(same, mine, atol=1e-5)
    ends = [event for event in events if isinstance(event, StageFinished)]
    found = np.diag(cosine_similarity(mine, theirs)).mean()
    assert found in [pytest.approx(one.scores["cosine"], abs=1e-6) for one in ends]

    report = Report.model_validate_json((folder / "report.json").read_bytes())
    assert report.quality.kind == "embedding"
    assert report.quality.networks["student"].same_class is not None  # the data has classes
    for page in (as_page(report), as_markdown(report)):
        assert "cosine similarity to the teacher" in page
        assert f"{report.quality.constant:.4f}" in page


def test_a_stopped_run_of_vectors_goes_on_to_the_same_student(tmp_path):
    document = vectors(training={"max_steps": 40, "save_steps": 10}, method="rkd")
    recipe, _ = a_teacher(document, tmp_path)
    whole = list(distill(recipe, tmp_path / "whole", inputs=tmp_path))
    for place in (6, 14, 22):
        stopped = distill(recipe, tmp_path / "parts", inputs=tmp_path, report_every=0)
        for _, event in zip(range(place), stopped, strict=False):
            assert not isinstance(event, VerdictReached)
        stopped.close()
    rest = list(distill(recipe, tmp_path / "parts", inputs=tmp_path))
    one, other = (tmp_path / name / "artifacts" for name in ("whole", "parts"))
    student = "student.safetensors"
    assert (one / student).read_bytes() == (other / student).read_bytes()
    ends = [[e.scores for e in run if isinstance(e, StageFinished)] for run in (whole, rest)]
    assert ends[0] == ends[1]


def test_data_without_classes_has_as_many_outputs_as_the_vectors(tmp_path):
    unpacked(tmp_path / "own", {f"unlabelled/{place}.png": picture(place) for place in range(20)})
    spec = ImageFolder(path="own", image_size=8, channels=1, validation_size=3)
    corpus = load_corpus(spec, tmp_path, torch.device("cpu"), Embedding(dimensions=5))
    assert (corpus.num_classes, corpus.class_names) == (5, ())
    assert (len(corpus.train.labels), len(corpus.test.labels)) == (13, 4)
    answers = draw(4, 5)
    answered = corpus.answered("test", answers)
    assert torch.equal(answered.test.labels, answers)
    assert torch.equal(answered.test.own, corpus.test.labels)
    assert answered.teacher_is_truth


@pytest.mark.parametrize("method", ["takd", "dgkd", "fitnet", "rkd", "simkd", "at"])
def test_methods_that_read_no_classes_teach_vectors_as_well(method):
    recipe = Recipe.model_validate(
        vectors(
            data={**DATA, "shape": [1, 8, 8]},
            method=small_method(method),
            student=IMAGES["student"],
            teacher={**IMAGES["teacher"], **TAUGHT},
        )
    )
    names = [one.name for one in recipe.objectives]
    assert "cross_entropy" not in names
    assert "kd" not in names
    assert names.count("cosine") <= 1
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"teacher": {"weights": None}}, "/teacher"),
        ({"baseline": True}, "/baseline"),
        ({"baseline": {"hard_labels": True, "enabled": False}}, "/baseline/hard_labels"),
        ({"data": {"labelled": 20}}, "/data/labelled"),
        ({"data": {"unlabelled": False}}, "/data/unlabelled"),
        ({"method": "dkd"}, "/method"),
        ({"objectives": ["cross_entropy", "cosine"]}, "/objectives/0"),
        ({"gates": ["student.accuracy >= 0.5"]}, "/gates"),
        ({"gates": ["uplift >= 0.5"]}, "/gates"),
        ({"teacher_cache": {"top_k": 2}}, "/teacher_cache/top_k"),
        ({"task": {"name": "embedding", "dimensions": 1}}, "/task/dimensions"),
    ],
)
def test_what_needs_labels_is_refused(changes, pointer):
    document = vectors(**changes)
    with pytest.raises(ValidationError) as refused:
        Recipe.model_validate(document)
    assert pointer in {one.pointer for one in explain(refused.value, Recipe, document)}


@pytest.mark.parametrize(
    ("task", "pointer"), [("embedding", "/task"), ({"name": "embedding"}, "/task/dimensions")]
)
def test_a_task_without_its_width_is_refused_at_its_place(task, pointer):
    document = {**vectors(), "task": task}
    with pytest.raises(ValidationError) as refused:
        Recipe.model_validate(document)
    flaws = {one.pointer: one for one in explain(refused.value, Recipe, document)}
    assert "dimensions" in str(flaws[pointer])


def test_a_teacher_of_another_width_is_refused(tmp_path):
    document = vectors()
    a_teacher(document, tmp_path)
    wider = Recipe.model_validate({**document, "task": {**TASK, "dimensions": 7}})
    with pytest.raises(WeightsError, match=r"the network's has \[7\]"):
        list(distill(wider, tmp_path / "run", inputs=tmp_path))
