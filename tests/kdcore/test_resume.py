"""A run that was stopped anywhere and started again ends with the very same student."""

import os
import random
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import yaml
from recipes import IMAGES, OPTIONS, TINY, small_method, tiny

from kdcore import Recipe, distill
from kdcore.catalog import METHODS
from kdcore.errors import CheckpointError
from kdcore.events import Checkpointed, Event, Metrics, StageFinished, StageProgress, StageStarted

CNN = {
    "teacher": {"model": {"name": "plain_cnn", "stages": [[6]], "hidden": []}},
    "student": {"model": {"name": "plain_cnn", "stages": [[3]], "hidden": []}},
    "data": {
        "name": "synthetic",
        "shape": [1, 6, 6],
        "train_size": 96,
        "validation_size": 16,
        "augmentation": {"crop_padding": 1, "horizontal_flip": True},
    },
}
_MIXES = {"mixup": 0.2, "cutmix": 1.0, "mixup_prob": 0.8, "horizontal_flip": True}
VARIANTS: dict[str, dict[str, Any]] = {
    "sgd": {},
    "adamw": {"training": {"optim": "adamw", "learning_rate": 0.01, "warmup_steps": 5}},
    "best": {"training": {"load_best_model_at_end": True, "max_grad_norm": 1.0}},
    "takd": {"method": {"name": "takd", "assistants": [{"name": "mlp", "hidden": [12]}]}},
    "dkd with batch norm and augmentation": {**CNN, "method": {"name": "dkd", "warmup_epochs": 3}},
    "mixed images, fresh": {**CNN, "data": {**CNN["data"], "augmentation": _MIXES}},
    "mixed images, stored": {
        **CNN,
        "data": {**CNN["data"], "augmentation": {**_MIXES, "views": 3}},
    },
}


AXES: dict[str, dict[str, Any]] = {
    "instance temperature": {
        "temperature": {"name": "ctkd", "scope": "instance"},
        "objectives": ["dkd", "cross_entropy"],
    },
    "two objectives with learned parts": {"objectives": ["kd", "fitnet", "reviewkd"]},
    "the best of several assistants": {
        "method": {"name": "takd", "candidates": OPTIONS["dgkd"]["assistants"]}
    },
    "masks on a chain": {"method": small_method("takd"), "objectives": [small_method("maskd")]},
    "weights on a curriculum": {"weighting": "ipwd", "curriculum": "easy_to_hard"},
}


def weights(folder: Path) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes() for file in sorted((folder / "stages").glob("*.safetensors"))
    }


def curve(events: list[Event]) -> dict[tuple[str, int], dict[str, float]]:
    """Return the point of every stage and step; what was told again replaces what was told."""
    points: dict[tuple[str, int], dict[str, float]] = {}
    for event in events:
        if isinstance(event, Metrics):
            for row in zip(*event.columns.values(), strict=True):
                values = dict(zip(event.columns, row, strict=True))
                known = {name: value for name, value in values.items() if value is not None}
                points[event.stage, int(known["step"])] = known
    return points


@pytest.mark.parametrize("variant", VARIANTS)
def test_stopped_at_any_step_it_ends_with_the_same_student(variant, tmp_path):
    recipe = tiny(**VARIANTS[variant])
    whole = list(distill(recipe, tmp_path / "whole", report_every=0))
    steps = sum(isinstance(event, StageProgress) for event in whole)
    choose = random.Random(variant)
    told: list[Event] = []
    for stop in [1, *choose.sample(range(2, steps // 2), 4)]:
        with closing(distill(recipe, tmp_path / "cut", report_every=0)) as events:
            seen = 0
            for event in events:
                told.append(event)
                seen += isinstance(event, StageProgress)
                if seen == stop:
                    break
    told += distill(recipe, tmp_path / "cut", report_every=0)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert curve(told) == curve(whole)
    student = "artifacts/student.safetensors"
    assert (tmp_path / "cut" / student).read_bytes() == (tmp_path / "whole" / student).read_bytes()


@pytest.mark.parametrize(
    "changes",
    [*({"method": small_method(name)} for name in METHODS), *AXES.values()],
    ids=[*METHODS, *AXES],
)
def test_stopped_in_any_stage_of_any_method_it_ends_with_the_same_student(changes, tmp_path):
    """Memory banks, masks, learned temperatures, anchors: all of it goes on where it was."""
    recipe = tiny(**IMAGES, **changes)
    whole = list(distill(recipe, tmp_path / "whole", report_every=0))
    told: list[Event] = []
    for share in (0.45, 0.3, 0.2):  # of what is left each time: in several stages
        with closing(distill(recipe, tmp_path / "cut", report_every=0)) as events:
            planned = sum(event.type == "stage.progress" for event in whole)
            done = sum(event.type == "stage.progress" for event in told)
            stop = max(int(share * (planned - done)), 1)
            for event in events:
                told.append(event)
                stop -= isinstance(event, StageProgress)
                if not stop:
                    break
    told += distill(recipe, tmp_path / "cut", report_every=0)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert curve(told) == curve(whole)


@pytest.mark.parametrize("kind", ["metrics", "stage.evaluated", "stage.progress", "checkpoint"])
def test_stopped_at_any_kind_of_event_it_loses_no_point_of_a_curve(kind, tmp_path):
    whole = list(distill(tiny(), tmp_path / "whole", report_every=60))
    told: list[Event] = []
    with closing(distill(tiny(), tmp_path / "cut", report_every=60)) as events:
        for event in events:
            told.append(event)
            if event.type == kind:
                break
    again = list(distill(tiny(), tmp_path / "cut", report_every=60))
    assert curve(told + again) == curve(whole)
    assert curve(again) == curve(whole), "what the first attempt told may have been lost"


def test_after_a_resume_the_end_of_the_run_is_not_before_the_end_of_the_stage(tmp_path):
    with closing(distill(tiny(), tmp_path, report_every=0)) as events:
        next(event for event in events if isinstance(event, StageProgress) and event.step == 30)
    told = [event for event in distill(tiny(), tmp_path) if isinstance(event, StageProgress)]
    assert all(event.run_eta_seconds >= 0.999 * event.eta_seconds for event in told)
    assert [event.percent for event in told] == sorted(event.percent for event in told)
    assert told[-1].percent == 100


def test_it_goes_on_from_the_step_where_it_was_stopped(tmp_path):
    with closing(distill(tiny(), tmp_path, report_every=0)) as events:
        next(event for event in events if isinstance(event, StageProgress) and event.step == 7)
    started = next(event for event in distill(tiny(), tmp_path) if isinstance(event, StageStarted))
    assert (started.stage, started.step) == ("teacher", 7)


def test_a_finished_stage_is_not_trained_again(tmp_path):
    chain = tiny(**VARIANTS["takd"])
    with closing(distill(chain, tmp_path)) as events:
        next(
            event
            for event in events
            if isinstance(event, StageFinished) and event.role == "assistant"
        )
    again = list(distill(chain, tmp_path))
    reused = {event.stage for event in again if isinstance(event, StageFinished) and event.reused}
    assert reused == {"teacher", "baseline-0", "assistant-1-0"}
    assert {event.stage for event in again if isinstance(event, StageStarted)} == {"student-0"}


@pytest.mark.slow
def test_killed_by_sigkill_again_and_again_it_ends_with_the_same_student(tmp_path):
    document = {**TINY, "training": {**TINY["training"], "max_steps": 400, "save_steps": 50}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(document))
    list(distill(Recipe.model_validate(document), tmp_path / "whole"))
    choose = random.Random(7)
    command = [sys.executable, "-m", "kdcore", str(recipe), str(tmp_path / "cut"), "--json"]
    for _ in range(4):
        child = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert child.stdout is not None
        lines_to_read = choose.randrange(4, 12)
        for _ in range(lines_to_read):
            child.stdout.readline()
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    whole = list(distill(tiny(), tmp_path / "whole"))
    with closing(distill(tiny(), tmp_path / "cut")) as events:
        next(event for event in events if isinstance(event, Checkpointed) and event.step == 30)
        next(events)
    folder = tmp_path / "cut/checkpoints/teacher"
    state = max(folder.glob("step-*")) / "state.pt"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    started = next(
        event for event in distill(tiny(), tmp_path / "cut") if isinstance(event, StageStarted)
    )
    assert started.step < 40
    assert list(folder.glob("*.bad"))
    list(distill(tiny(), tmp_path / "cut"))
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert whole


@pytest.mark.parametrize(
    "name", ["stages/teacher.safetensors", "stages/teacher.json", "run.digest"]
)
@pytest.mark.parametrize("content", [b"", b"garbage", None])
def test_a_damaged_result_is_made_again(tmp_path, name, content):
    whole = list(distill(tiny(), tmp_path / "whole"))
    with closing(distill(tiny(), tmp_path / "cut")) as events:
        next(event for event in events if isinstance(event, StageFinished) and event.seed == 0)
        next(events)
    if content is None:
        (tmp_path / "cut" / name).unlink()
    else:
        (tmp_path / "cut" / name).write_bytes(content)
    if (name, content) == ("run.digest", b"garbage"):
        with pytest.raises(CheckpointError):
            list(distill(tiny(), tmp_path / "cut"))
        return
    again = list(distill(tiny(), tmp_path / "cut"))
    assert weights(tmp_path / "cut") == weights(tmp_path / "whole")
    assert curve(again) == curve(whole)


@pytest.mark.slow
def test_a_command_line_that_is_interrupted_saves_and_goes_on(tmp_path):
    document = {**TINY, "training": {**TINY["training"], "max_steps": 20_000, "save_steps": 10**6}}
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(document))
    command = [sys.executable, "-m", "kdcore", str(recipe), str(tmp_path / "out"), "--json"]
    for signum in (signal.SIGINT, signal.SIGTERM):
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert child.stdout is not None
        while b"stage.progress" not in child.stdout.readline():
            pass
        child.send_signal(signum)
        _, said = child.communicate()
        assert child.returncode == 130
        assert b"goes on from here" in said
        assert list((tmp_path / "out/checkpoints/teacher").glob("step-*"))


def test_another_recipe_is_refused_in_a_used_folder(tmp_path):
    list(distill(tiny(), tmp_path))
    with pytest.raises(CheckpointError, match="another recipe"):
        list(distill(tiny(training={"learning_rate": 0.01}), tmp_path))
