"""What a teacher said once is kept: it changes nothing, is found again, and survives everything."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from contextlib import closing
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from recipes import IMAGES, small_method, tiny
from resumed import curve, weights
from safetensors.torch import load_file

from kdcore import distill
from kdcore.events import AnswersReady, Event, Warned
from kdcore.network import build, weights_bytes
from kdcore.recipe import Recipe
from kdcore.teacher_cache.about import SheetAbout
from kdcore.teacher_cache.sheet import _packed, _unpacked
from kdcore.teacher_cache.shelf import Shelf

MIXES = {"mixup": 0.4, "cutmix": 1.0, "crop_padding": 1, "views": 3}
VIEWS = {"augmentation": {"crop_padding": 1, "horizontal_flip": True, "views": 3}}


def images(**changes: Any) -> Recipe:
    """Return a small recipe on images, its teacher given by a file."""
    data = {**IMAGES["data"], **changes.pop("data", {})}
    teacher = {**IMAGES["teacher"], "weights": "teacher.safetensors"}
    return tiny(**{**IMAGES, "teacher": teacher, "data": data, **changes})


@pytest.fixture
def given(tmp_path: Path) -> Path:
    """Return a folder with the weights of a teacher."""
    folder = tmp_path / "inputs"
    folder.mkdir()
    model = images().teacher.model
    (folder / "teacher.safetensors").write_bytes(weights_bytes(build(model, (1, 8, 8), 4, seed=3)))
    return folder


def run(recipe: Recipe, folder: Path, given: Path, shelf: Shelf | None = None) -> list[Event]:
    return list(distill(recipe, folder, inputs=given, shelf=shelf, report_every=0))


def ready(events: list[Event]) -> list[AnswersReady]:
    return [event for event in events if isinstance(event, AnswersReady)]


def warned(events: list[Event]) -> set[str]:
    return {event.code for event in events if isinstance(event, Warned)}


class Counter:
    """Counts the samples that any frozen network is asked about."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Count from now on."""
        self.asked = 0
        forward = torch.nn.Sequential.forward

        def counting(network: torch.nn.Sequential, inputs: torch.Tensor) -> torch.Tensor:
            frozen = not any(part.requires_grad for part in network.parameters())
            if frozen and "head" in dict(network.named_children()):
                self.asked += len(inputs)
            return forward(network, inputs)

        monkeypatch.setattr(torch.nn.Sequential, "forward", counting)


@pytest.mark.parametrize(
    ("data", "method"),
    [
        *product([{}, VIEWS], ["kd", "dkd", "fitnet", "simkd", "easy_to_hard"]),
        *product([{"augmentation": MIXES}], ["kd", "fitnet", "simkd", "easy_to_hard"]),
    ],
)
def test_kept_and_live_answers_train_the_very_same_student(data, method, given, tmp_path):
    """Bit for bit: answers kept in float32, of a teacher that is asked in float32."""
    cache = {"use": "always", "dtype": "float32"}
    kept = images(method=small_method(method), data=data, teacher_cache=cache)
    live = images(method=small_method(method), data=data, teacher_cache="never")
    told = run(kept, tmp_path / "kept", given)
    run(live, tmp_path / "live", given)
    assert [event.answers for event in ready(told)] == ["kept"]
    students = [
        load_file(tmp_path / name / "stages/student-0.safetensors") for name in ("kept", "live")
    ]
    for name in students[0]:
        assert torch.equal(students[0][name], students[1][name]), name


@pytest.mark.parametrize(("dtype", "allowed"), [("float16", 2e-3), ("bfloat16", 2e-2)])
def test_half_precision_changes_the_loss_of_a_step_by_rounding_alone(
    dtype, allowed, given, tmp_path
):
    cache = {"use": "always", "dtype": dtype}
    half = curve(run(images(teacher_cache=cache), tmp_path / "half", given))
    full = curve(run(images(teacher_cache="never"), tmp_path / "full", given))
    first = ("student-0", 1)
    assert half[first]["loss"] == pytest.approx(full[first]["loss"], rel=allowed)


def test_the_second_job_on_a_teacher_asks_it_nothing_before_its_verdict(
    given, tmp_path, monkeypatch
):
    shelf = Shelf(tmp_path / "shelf")
    baseline = {"hard_labels": True}
    run(images(baseline=baseline), tmp_path / "first", given, shelf)
    counter = Counter(monkeypatch)
    second = images(method="dist", seeds=[4, 5], baseline=baseline)
    events = run_until_evaluating(second, tmp_path / "second", given, shelf)
    assert [(event.answers, event.reason) for event in ready(events)] == [("kept", "found")] * 2
    assert counter.asked == 0
    run_until_evaluating(images(teacher_cache="never"), tmp_path / "third", given, shelf)
    assert counter.asked > 0, "the counter counts"


def run_until_evaluating(recipe: Recipe, folder: Path, given: Path, shelf: Shelf) -> list[Event]:
    told: list[Event] = []
    with closing(distill(recipe, folder, inputs=given, shelf=shelf, report_every=0)) as events:
        for event in events:
            if event.type == "phase" and event.phase == "evaluating":
                break
            told.append(event)
    return told


def test_another_teacher_under_the_same_name_is_not_taken_for_the_first(given, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    first = ready(run(images(), tmp_path / "first", given, shelf))
    model = images().teacher.model
    (given / "teacher.safetensors").write_bytes(weights_bytes(build(model, (1, 8, 8), 4, seed=4)))
    second = ready(run(images(), tmp_path / "second", given, shelf))
    assert second[0].reason == "written"
    assert second[0].cache != first[0].cache
    assert len(shelf.listed()) == 2


@pytest.mark.parametrize("harm", ["truncate", "flip", "remove"])
def test_a_damaged_shard_is_told_of_and_written_anew(harm, given, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    run(images(), tmp_path / "first", given, shelf)
    (shard,) = (tmp_path / "shelf").glob("*/train-logits-*/00000.safetensors")
    content = bytearray(shard.read_bytes())
    if harm == "truncate":
        shard.write_bytes(content[: len(content) // 2])
    elif harm == "flip":
        content[-5] ^= 1
        shard.write_bytes(content)
    else:
        shard.unlink()
    told = run(images(), tmp_path / "second", given, shelf)
    assert "teacher_cache_damaged" in warned(told)
    assert [event.reason for event in ready(told)] == ["written"]
    assert weights(tmp_path / "second") == weights(tmp_path / "first")


def test_a_budget_smaller_than_one_cache_is_warned_of_and_the_teacher_asked(given, tmp_path):
    shelf = Shelf(tmp_path / "shelf", budget_bytes=100)
    told = run(images(), tmp_path / "run", given, shelf)
    assert "teacher_cache_over_budget" in warned(told)
    assert [(event.answers, event.reason) for event in ready(told)] == [("live", "over_budget")]
    assert not list((tmp_path / "shelf").glob("*/*/*.safetensors"))
    run(images(teacher_cache="never"), tmp_path / "live", given)
    assert (tmp_path / "run/stages/student-0.safetensors").read_bytes() == (
        tmp_path / "live/stages/student-0.safetensors"
    ).read_bytes()


def test_an_answer_that_float16_cannot_hold_is_warned_of_and_the_teacher_asked(given, tmp_path):
    network = build(images().teacher.model, (1, 8, 8), 4, seed=3)
    with torch.no_grad():
        network.head.weight.mul_(1e7)
    (given / "teacher.safetensors").write_bytes(weights_bytes(network))
    told = run(images(temperature=1000), tmp_path / "run", given)
    assert "teacher_cache_out_of_range" in warned(told)
    assert [event.reason for event in ready(told)] == ["out_of_range"]
    assert not list(tmp_path.glob("run/teacher-caches/*/train-*/manifest.json"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"teacher_cache": False}, "off"),
        ({"data": {"augmentation": {"horizontal_flip": True}}}, "fresh_views"),
        ({"data": {"augmentation": MIXES, "unlabelled": False}}, "own_partners"),
        ({"method": "fitnet", "teacher_cache": {"features": False}}, "features_off"),
        ({"training": {"max_steps": 3}}, "not_worth_it"),
    ],
)
def test_a_teacher_is_asked_in_every_step_for_a_reason_that_is_told(
    changes, reason, given, tmp_path
):
    told = ready(run(images(**changes), tmp_path / "run", given))
    assert [(event.answers, event.reason, event.bytes) for event in told] == [("live", reason, 0)]


def test_a_run_that_was_stopped_goes_on_with_who_answered_before(given, tmp_path):
    """Another run has written the answers meanwhile; this one began without."""
    shelf = Shelf(tmp_path / "shelf")
    short = images(training={"max_steps": 4})
    whole = run(short, tmp_path / "whole", given)
    with closing(
        distill(short, tmp_path / "cut", inputs=given, shelf=shelf, report_every=0)
    ) as told:
        next(event for event in told if event.type == "stage.progress" and event.role == "student")
    run(images(training={"max_steps": 4}, teacher_cache="always"), tmp_path / "other", given, shelf)
    again = run(short, tmp_path / "cut", given, shelf)
    assert [event.reason for event in ready(again)] == ["settled"]
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert whole


def test_of_many_classes_the_highest_are_kept_and_the_others_share_what_is_left(given, tmp_path):
    cache = {"use": "always", "dtype": "float32", "top_k": 2}
    told = run(images(teacher_cache=cache), tmp_path / "run", given)
    (folder,) = tmp_path.glob("run/teacher-caches/*/train-logits-float32-*")
    kept = load_file(folder / "00000.safetensors")
    assert {name: list(rows.shape) for name, rows in kept.items()} == {
        "values": [80, 2],
        "classes": [80, 2],
        "others": [80],
    }
    assert ready(told)[0].answers == "kept"
    logits = torch.randn(
        6, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    ).float()
    manifest = json.loads((folder / "manifest.json").read_bytes())["sheet"]
    about = SheetAbout.model_validate({**manifest, "top_k": 4, "shape": [9]})
    opened = _unpacked(_packed(logits, about), 9)
    probabilities, exact = opened.softmax(-1), logits.softmax(-1)
    best = logits.topk(4).indices
    assert torch.allclose(probabilities.gather(1, best), exact.gather(1, best), atol=1e-6)
    rest = probabilities.scatter(1, best, 0.0)
    assert torch.allclose(rest.max(1).values * 5, rest.sum(1), atol=1e-6)


def test_a_shard_that_was_torn_before_its_sheet_was_finished_is_made_again(given, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    whole = run(images(), tmp_path / "first", given, shelf)
    (shard,) = (tmp_path / "shelf").glob("*/train-logits-*/00000.safetensors")
    shard.with_name("manifest.json").unlink()
    shard.write_bytes(shard.read_bytes()[:-9])
    told = run(images(), tmp_path / "second", given, shelf)
    assert [event.reason for event in ready(told)] == ["written"]
    assert weights(tmp_path / "second") == weights(tmp_path / "first")
    assert whole


def test_a_shelf_that_cannot_be_used_costs_no_run(given, tmp_path):
    (tmp_path / "shelf").write_text("a file where a folder should be")
    told = run(images(), tmp_path / "run", given, Shelf(tmp_path / "shelf"))
    assert "teacher_cache_unusable" in warned(told)
    assert [event.reason for event in ready(told)] == ["unusable"]
    assert told[-1].type == "run.finished"


def test_stopped_while_it_writes_it_sets_no_bytes_aside_for_good(given, tmp_path):
    shelf = Shelf(tmp_path / "shelf")
    with closing(distill(images(), tmp_path / "cut", inputs=given, shelf=shelf)) as events:
        next(event for event in events if event.type == "answers.progress")
    assert not list((tmp_path / "shelf").glob("locks/*"))
    told = run(images(), tmp_path / "cut", given, shelf)
    run(images(), tmp_path / "whole", given)
    assert [event.reason for event in ready(told)] == ["written"]
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_run_that_began_without_room_goes_on_without_when_there_is_some(given, tmp_path):
    small, large = Shelf(tmp_path / "shelf", budget_bytes=9000), Shelf(tmp_path / "shelf")
    recipe = images(data={"num_classes": 40, "train_size": 400})
    model = recipe.teacher.model
    (given / "teacher.safetensors").write_bytes(weights_bytes(build(model, (1, 8, 8), 40, seed=3)))
    run(recipe, tmp_path / "whole", given, small)
    cut = distill(recipe, tmp_path / "cut", inputs=given, shelf=small, report_every=0)
    with closing(cut) as events:
        next(
            event
            for event in events
            if event.type == "stage.progress" and event.role == "student" and event.step == 5
        )
    told = run(recipe, tmp_path / "cut", given, large)
    assert [event.reason for event in ready(told)] == ["settled"]
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


@pytest.mark.slow
def test_killed_while_it_writes_it_loses_one_shard_at_most(given, tmp_path):
    big = images(data={"train_size": 9000, "labelled": None}, teacher_cache="always")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(big.model_dump(mode="json", exclude={"method"})))
    command = [sys.executable, "-m", "kdcore", str(recipe), str(tmp_path / "cut"), "--json"]
    command += ["--inputs", str(given), "--cache", str(tmp_path / "shelf")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    shards = tmp_path / "shelf"
    while len(list(shards.glob("*/train-logits-*/0000?.safetensors"))) < 1:
        assert child.poll() is None
    os.kill(child.pid, signal.SIGKILL)
    child.communicate()
    finished = {
        path: path.stat().st_mtime_ns for path in shards.glob("*/train-logits-*/*.safetensors")
    }
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert all(path.stat().st_mtime_ns == written for path, written in finished.items())
    run(big, tmp_path / "whole", given)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def _distil(document: dict[str, Any], folder: Path, gate: Any, told: Any) -> None:
    gate.wait()
    recipe, shelf = Recipe.model_validate(document), Shelf(folder.parent / "shelf")
    events = distill(recipe, folder, inputs=folder.parent / "inputs", shelf=shelf, report_every=0)
    for event in events:
        if isinstance(event, AnswersReady):
            told.put(event.reason)


@pytest.mark.slow
def test_two_jobs_that_need_the_same_answers_at_once_do_the_work_once(given, tmp_path):
    context = multiprocessing.get_context("spawn")
    gate, told = context.Barrier(2), context.Queue()
    big = images(data={"train_size": 6000, "labelled": None}, teacher_cache="always")
    document = big.model_dump(mode="json", exclude={"method"})
    jobs = [
        context.Process(target=_distil, args=(document, tmp_path / str(place), gate, told))
        for place in range(2)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert sorted([told.get(), told.get()]) == ["found", "written"]
    assert weights(tmp_path / "0") == weights(tmp_path / "1")
