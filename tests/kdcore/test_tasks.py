"""What networks are asked: several labels and numbers, held against scikit-learn and by hand."""

import json
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from recipes import IMAGES, TINY, small_method, tiny
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    r2_score,
)

from kdcore.corpus import load_corpus
from kdcore.datasets.arrays import Arrays
from kdcore.datasets.synthetic import Synthetic
from kdcore.datasets.table import Table
from kdcore.errors import DataError
from kdcore.events import StageFinished, VerdictReached
from kdcore.objectives.binary_cross_entropy import BinaryCrossEntropy, binary_cross_entropy_loss
from kdcore.objectives.binary_kd import BinaryKD, binary_kd_loss
from kdcore.objectives.mimic import Mimic, mimic_loss
from kdcore.objectives.squared_error import SquaredError, squared_error_loss
from kdcore.recipe import Recipe
from kdcore.reporting.markdown import as_markdown
from kdcore.reporting.page import as_page
from kdcore.reporting.record import Report
from kdcore.scores import average_precisions
from kdcore.story import distill
from kdcore.student import load_student
from kdcore.task import Said
from kdcore.tasks import TASKS
from kdcore.tasks.multi_label import MultiLabel
from kdcore.tasks.regression import Regression
from kdcore.temperature import Softened
from kdcore.tensors import HIDDEN, Batch, Mixed, Outputs, Seen, Taps
from kdcore.validation import explain

CPU = torch.device("cpu")
SEVERAL = ["multi_label", "regression"]
EASY = {"noise": 0.3, "labelled": 256, "validation_size": 32}


def draw(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def seen(student, teacher, labels, mixed=None):
    batch = Batch(torch.zeros(len(labels), 1), labels, torch.arange(len(labels)), 0, mixed=mixed)
    outputs = Outputs(student, {}), Outputs(teacher, {})
    return Seen(*outputs, batch, epoch=0, progress=0.0, taps=Taps(), seed=0)


def unsoftened(student, teacher):
    return Softened(student, teacher, 1.0)


# What is counted.


def test_average_precision_is_that_of_scikit_learn_also_among_equals():
    labels = (draw(200, 6, seed=1) > 0.8).long()
    logits = draw(200, 6).mul(2).round()  # many are equal
    expected = [average_precision_score(labels[:, k], logits[:, k]) for k in range(6)]
    assert average_precisions(logits, labels).tolist() == pytest.approx(expected)


def test_scores_of_several_labels_are_those_of_scikit_learn():
    labels, logits, teacher = (
        (draw(300, 5, seed=2) > 0.5).long(),
        draw(300, 5),
        draw(300, 5, seed=3),
    )
    scores = MultiLabel().score(logits, labels, teacher)
    assert scores["mean_average_precision"] == pytest.approx(
        average_precision_score(labels, logits, average="macro")
    )
    assert scores["micro_f1"] == pytest.approx(f1_score(labels, logits > 0, average="micro"))
    chances = logits.double().sigmoid()
    losses = [log_loss(labels[:, k], chances[:, k], labels=[0, 1]) for k in range(5)]
    assert scores["loss"] == pytest.approx(sum(losses) / 5)
    assert scores["agreement"] == pytest.approx(((logits > 0) == (teacher > 0)).double().mean())


def test_a_label_that_no_test_sample_has_counts_for_nothing():
    labels, logits = (draw(100, 3, seed=2) > 0.5).long(), draw(100, 3)
    labels[:, 1] = 0
    scores = MultiLabel().score(logits, labels)
    expected = average_precision_score(labels[:, [0, 2]], logits[:, [0, 2]], average="macro")
    assert scores["mean_average_precision"] == pytest.approx(expected)
    assert MultiLabel().score(logits, torch.zeros_like(labels))["mean_average_precision"] == 0


def test_scores_of_numbers_are_those_of_scikit_learn():
    labels, outputs, teacher = (draw(300, 3, seed=seed).double() for seed in (4, 6, 5))
    scores = Regression().score(outputs, labels, teacher)
    assert scores["r2"] == pytest.approx(r2_score(labels, outputs))
    assert scores["loss"] == pytest.approx(mean_squared_error(labels, outputs))
    assert scores["agreement"] == pytest.approx(r2_score(teacher, outputs))


def test_errors_are_told_in_the_users_unit():
    labels, outputs = draw(50, 2, seed=4), draw(50, 2)
    samples = Synthetic().read_for("regression", CPU).train
    found = Regression().examine(
        Said(
            type(samples)(samples.inputs[:50], labels),
            teacher=outputs,
            students={0: outputs},
            baselines={},
            seed=0,
            names=("height", "weight"),
            units=(100.0, 5.0),
        )
    )
    height = found.targets[0].networks["student"]
    assert found.targets[0].name == "height"
    assert "baseline" not in found.targets[0].networks
    inside = 100 * labels[:, 0], 100 * outputs[:, 0]
    assert height.rmse == pytest.approx(math.sqrt(mean_squared_error(*inside)), rel=1e-6)
    assert height.mae == pytest.approx(mean_absolute_error(*inside), rel=1e-6)


# What is learned by.


def test_binary_cross_entropy_is_its_formula_over_the_samples_that_have_labels():
    logits, labels = draw(6, 4).double(), (draw(6, 4, seed=1) > 0).long()
    labels[2] = HIDDEN
    chance, kept = logits.sigmoid(), [0, 1, 3, 4, 5]
    plain = -(labels * chance.log() + (1 - labels) * (1 - chance).log())[kept].mean()
    term = BinaryCrossEntropy().loss(seen(logits, logits, labels), unsoftened(logits, logits), None)
    assert term.item() == pytest.approx(plain.item())
    alone = binary_cross_entropy_loss(logits[kept], labels[kept])
    assert alone.item() == pytest.approx(plain.item())


def test_squared_error_is_its_formula_over_the_samples_that_have_targets():
    outputs, labels = draw(6, 2).double(), draw(6, 2, seed=1).double()
    labels[4, 1] = math.nan
    outputs.requires_grad_()
    term = SquaredError().loss(seen(outputs, outputs, labels), unsoftened(outputs, outputs), None)
    kept = [0, 1, 2, 3, 5]
    assert term.item() == pytest.approx(squared_error_loss(outputs[kept], labels[kept]).item())
    (slope,) = torch.autograd.grad(term, outputs)
    assert slope[4].abs().sum() == 0
    assert slope.isfinite().all()


@pytest.mark.parametrize("objective", [BinaryCrossEntropy(), SquaredError()])
def test_nobody_has_a_label_and_nothing_is_learned(objective):
    outputs = draw(4, 3)
    labels = torch.full((4, 3), HIDDEN)
    if isinstance(objective, SquaredError):
        labels = torch.full((4, 3), math.nan)
    term = objective.loss(seen(outputs, outputs, labels), unsoftened(outputs, outputs), None)
    assert term.item() == 0


def test_the_labels_of_a_mixed_image_count_by_their_shares():
    logits, own, other = draw(3, 2), torch.tensor([[1, 0], [1, 1], [0, 0]]), torch.ones(3, 2).long()
    other[1] = HIDDEN
    share = torch.tensor([0.25, 0.5, 1.0])
    mixed = seen(logits, logits, own, Mixed(other, share))
    term = BinaryCrossEntropy().loss(mixed, unsoftened(logits, logits), None)

    def each(labels):
        return torch.nn.functional.binary_cross_entropy_with_logits(
            logits, labels.float(), reduction="none"
        ).mean(1)

    mine, theirs = each(own), each(torch.ones(3, 2))
    counted = 0.25 * mine[0] + 0.75 * theirs[0] + 0.5 * mine[1] + mine[2]
    assert term.item() == pytest.approx((counted / 2.5).item())


def test_binary_kd_is_the_divergence_of_coins():
    student, teacher, heat = draw(5, 3).double(), draw(5, 3, seed=1).double(), 2.0
    p, q = (teacher / heat).sigmoid(), (student / heat).sigmoid()
    coins = [
        torch.distributions.kl_divergence(
            torch.distributions.Bernoulli(p[:, k]), torch.distributions.Bernoulli(q[:, k])
        )
        for k in range(3)
    ]
    expected = heat**2 * torch.stack(coins, 1).mean(1)
    softened = Softened(student / heat, teacher / heat, heat**2)
    term = BinaryKD().loss(seen(student, teacher, torch.ones(5, 3)), softened, None)
    assert term.tolist() == pytest.approx(expected.tolist())
    assert binary_kd_loss(student, teacher, temperature=heat).item() == pytest.approx(
        expected.mean().item()
    )
    large = 1e4 * torch.ones(1, 1, requires_grad=True)
    assert binary_kd_loss(large, -large.detach(), temperature=1.0).isfinite()


def test_mimic_is_the_squared_distance_of_outputs():
    student, teacher = draw(5, 3), draw(5, 3, seed=1)
    term = Mimic().loss(
        seen(student, teacher, torch.zeros(5).long()), unsoftened(student, teacher), None
    )
    assert term.tolist() == pytest.approx((student - teacher).pow(2).mean(1).tolist())
    assert mimic_loss(student, teacher).item() == pytest.approx(term.mean().item())


# From a recipe to a verdict.


@pytest.mark.parametrize("task", SEVERAL)
def test_a_task_is_taught_from_a_recipe_to_a_verdict(task, tmp_path):
    recipe = tiny(task=task, data=EASY, seeds=[0, 1], training={"max_steps": 120, "save_steps": 50})
    metric = recipe.task.metric
    assert [one.name for one in recipe.objectives] == [*TASKS[task].words.values()]
    events = list(distill(recipe, tmp_path))
    (verdict,) = [event.verdict for event in events if isinstance(event, VerdictReached)]
    assert verdict.metric == metric
    ends = {event.stage: event for event in events if isinstance(event, StageFinished)}
    assert verdict.student.score.values == [
        ends[f"student-{seed}"].scores[metric] for seed in (0, 1)
    ]
    assert f"validation_{metric}" in ends["student-0"].scores
    assert verdict.teacher.score.mean > 0.6
    folder = tmp_path / "artifacts"
    config = json.loads((folder / "config.json").read_text())
    assert (config["task"], config["num_classes"]) == (task, 4)
    corpus = load_corpus(recipe.data, tmp_path, CPU, recipe.task)
    again = recipe.task.score(load_student(folder)(corpus.test.inputs).detach(), corpus.test.labels)
    best = ends[f"student-{config['seed']}"].scores
    assert again[metric] == pytest.approx(best[metric])
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    assert report.quality.kind == task
    assert recipe.task.title in as_page(report)
    assert recipe.task.title in as_markdown(report)


@pytest.mark.parametrize("task", SEVERAL)
@pytest.mark.parametrize("method", ["takd", "dgkd", "rco", "fitnet", "rkd", "simkd"])
def test_methods_that_read_no_classes_are_taken_in_the_tasks_own_words(task, method):
    recipe = tiny(**IMAGES, task=task, method=small_method(method))
    assert all(one.serves(task) for one in recipe.objectives)
    assert Recipe.model_validate(recipe.model_dump(mode="json")) == recipe


def test_a_temperature_that_learns_softens_labels_as_well(tmp_path):
    recipe = tiny(task="multi_label", method="ctkd", data=EASY)
    ends = [e for e in distill(recipe, tmp_path) if isinstance(e, StageFinished)]
    assert ends[-1].scores["mean_average_precision"] > 0.5


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"task": "regression", "method": "dkd"}, "/method"),
        ({"task": "multi_label", "method": "ats"}, "/method"),
        ({"task": "multi_label", "method": "maskd"}, "/method"),
        ({"task": "regression", "objectives": ["cross_entropy", "mimic"]}, "/objectives/0"),
        ({"task": "multi_label", "temperature": "standardized"}, "/temperature"),
        ({"task": "multi_label", "weighting": "wsld"}, "/weighting"),
        ({"task": "multi_label", "curriculum": "easy_to_hard"}, "/curriculum"),
        ({"task": "regression", "data": "digits"}, "/data"),
        ({"task": "regression", "baseline": {"hard_labels": True}}, "/baseline/hard_labels"),
        ({"task": "regression", "gates": ["student.accuracy >= 0.1"]}, "/gates"),
        ({"gates": ["student.r2 >= 0.1"]}, "/gates"),
        ({"task": "multi_label", "teacher_cache": {"top_k": 2}}, "/teacher_cache/top_k"),
        ({"task": "counting"}, "/task"),
        ({"objectives": ["cross_entropy", "binary_kd"]}, "/objectives/1"),
    ],
)
def test_what_has_no_meaning_in_a_task_is_refused(changes, pointer):
    document = {**TINY, **changes}
    with pytest.raises(ValidationError) as refused:
        Recipe.model_validate(document)
    assert pointer in {one.pointer for one in explain(refused.value, Recipe, document)}


def test_hard_labels_of_several_are_those_that_are_likelier_than_not(tmp_path):
    recipe = tiny(task="multi_label", data=EASY, baseline={"hard_labels": True})
    (verdict,) = [e.verdict for e in distill(recipe, tmp_path) if isinstance(e, VerdictReached)]
    assert verdict.controls["hard_labels"].score.mean > 0.5


# Data.


@pytest.mark.parametrize("task", SEVERAL)
def test_some_labels_are_kept_and_the_others_are_hidden(task):
    corpus = load_corpus(Synthetic(), CPU, CPU, TASKS[task]())
    kept = corpus.student_labels(40, seed=3)
    known = ~kept.isnan().any(1) if task == "regression" else (kept != HIDDEN).all(1)
    assert int(known.sum()) == 40
    assert torch.equal(kept[known], corpus.train.labels[known])
    assert torch.equal(corpus.student_labels(40, seed=3).nan_to_num(9), kept.nan_to_num(9))
    assert not torch.equal(corpus.student_labels(40, seed=4).nan_to_num(9), kept.nan_to_num(9))


ROWS = "a,b,sunny,warm,degrees\n" + "".join(
    f"{k % 7},{k % 3},{'yes' if k % 2 else 'no'},{int(k % 3 == 0)},{10 + k % 5}\n"
    for k in range(40)
)


def table(tmp_path, content=ROWS, **options):
    (tmp_path / "own.csv").write_text(content)
    return Table.model_validate({"path": "own.csv", "features": ["a", "b"], **options})


def test_a_table_has_several_labels(tmp_path):
    source = table(tmp_path, labels=["sunny", "warm"]).read_for("multi_label", tmp_path)
    assert source.class_names == ("sunny", "warm")
    assert source.num_classes == 2
    both = torch.cat([source.train.labels, source.test.labels])
    assert len(both) == 40
    assert sorted(map(tuple, both.tolist())) == sorted((k % 2, int(k % 3 == 0)) for k in range(40))


def test_a_table_has_numbers_in_deviations_from_the_mean(tmp_path):
    source = table(tmp_path, label="degrees").read_for("regression", tmp_path)
    (column,) = source.preprocessing["label"]
    back = source.train.labels.double() * column["std"] + column["mean"]
    assert back.mean().item() == pytest.approx(column["mean"], abs=1e-5)
    assert sorted(set(back.flatten().round(decimals=4).tolist())) == [10, 11, 12, 13, 14]
    assert source.units == (column["std"],)


def test_a_training_row_may_have_no_labels(tmp_path):
    content = ROWS + "1,2,,,\n"
    options = {"test_path": "own.csv"}
    for task, chosen in (("multi_label", ["sunny", "warm"]), ("regression", ["degrees"])):
        spec = table(tmp_path, content, labels=chosen, split_column=None)
        source = spec.read_for(task, tmp_path)
        last = source.train.labels[-1]
        assert bool(last.isnan().all()) if task == "regression" else last.tolist() == [HIDDEN] * 2
        with pytest.raises(DataError, match=r"own.csv, line 42"):
            table(tmp_path, content, labels=chosen, **options).read_for(task, tmp_path)


@pytest.mark.parametrize(
    ("task", "content", "options", "says"),
    [
        ("multi_label", ROWS + "1,2,maybe,1,3\n", {"labels": ["sunny", "warm"]}, "line 42.*maybe"),
        ("multi_label", ROWS + "1,2,yes,,3\n", {"labels": ["sunny", "warm"]}, "line 42.*empty"),
        ("regression", ROWS + "1,2,yes,1,hot\n", {"label": "degrees"}, "line 42.*hot"),
        ("regression", ROWS, {"label": "sunny"}, "holds texts"),
        ("classification", ROWS, {"labels": ["sunny"]}, "one class a row"),
    ],
)
def test_a_row_that_does_not_fit_the_task_is_named(task, content, options, says, tmp_path):
    with pytest.raises(DataError, match=says):
        table(tmp_path, content, **options).read_for(task, tmp_path)


@pytest.mark.parametrize(
    "options",
    [{}, {"label": "a", "labels": ["b"]}, {"labels": ["a", "a"]}, {"labels": ["sunny", "a"]}],
)
def test_labels_are_named_in_one_way(options, tmp_path):
    with pytest.raises(ValidationError, match="one way"):
        table(tmp_path, **options)


def arrays(tmp_path, train, test):
    x = np.zeros((len(train), 3), "float32"), np.zeros((len(test), 3), "float32")
    np.savez(tmp_path / "own.npz", x_train=x[0], x_test=x[1], y_train=train, y_test=test)
    return Arrays(path="own.npz")


FLAGS = np.array([[0, 1], [1, 0], [1, 1], [0, 0]])
NUMBERS = np.array([[0.5, 2], [1.5, 4], [2.5, 1], [0.25, 3]])


@pytest.mark.parametrize(
    ("task", "train", "test", "says"),
    [
        ("multi_label", FLAGS[:, 0], FLAGS[:, 0], "samples, labels"),
        ("multi_label", FLAGS + 1, FLAGS, "0 or 1"),
        ("multi_label", FLAGS, FLAGS - 1, "test sample 0"),
        ("multi_label", FLAGS, FLAGS[:, :1], "must be equal"),
        ("multi_label", FLAGS * 0, FLAGS, "nothing to learn"),
        ("regression", FLAGS, FLAGS, "floating"),
        ("regression", NUMBERS, NUMBERS * math.nan, "no finite target"),
        ("regression", NUMBERS * math.inf, NUMBERS, "no finite target"),
        ("regression", NUMBERS, NUMBERS * 0, "the same for all test"),
        ("classification", FLAGS, FLAGS, "one integer a sample"),
    ],
)
def test_arrays_that_do_not_fit_the_task_are_refused(task, train, test, says, tmp_path):
    with pytest.raises(DataError, match=says):
        load_corpus(arrays(tmp_path, train, test), tmp_path, CPU, TASKS[task]())


@pytest.mark.parametrize(("task", "labels"), [("multi_label", FLAGS), ("regression", NUMBERS)])
def test_arrays_are_read_as_the_task_wants_them(task, labels, tmp_path):
    corpus = load_corpus(arrays(tmp_path, labels, labels), tmp_path, CPU, TASKS[task]())
    assert corpus.train.labels.tolist() == labels.tolist()
    assert corpus.num_classes == 2
