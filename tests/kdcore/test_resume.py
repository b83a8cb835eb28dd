"""A run that was stopped anywhere and started again ends with the very same student."""

import os
import random
import signal
import subprocess
import sys
from contextlib import closing

import pytest
import yaml
from recipes import IMAGES, TINY, small_method, suited, tiny
from resumed import AXES, VARIANTS, curve, results

from kdcore import distill
from kdcore.catalog import METHODS
from kdcore.errors import CheckpointError
from kdcore.events import (
    Checkpointed,
    Event,
    StageFinished,
    StageProgress,
    StageStarted,
    Warned,
)


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
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    assert curve(told) == curve(whole)
    student = "artifacts/student.safetensors"
    assert (tmp_path / "cut" / student).read_bytes() == (tmp_path / "whole" / student).read_bytes()


@pytest.mark.parametrize(
    "changes",
    [*({**suited(name), "method": small_method(name)} for name in METHODS), *AXES.values()],
    ids=[*METHODS, *AXES],
)
def test_stopped_in_any_stage_of_any_method_it_ends_with_the_same_student(changes, tmp_path):
    """Memory banks, masks, learned temperatures, anchors: all of it goes on where it was."""
    recipe = tiny(**{**IMAGES, **changes})
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
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
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


def warnings(events: list[Event]) -> list[Warned]:
    return [event for event in events if isinstance(event, Warned)]


def test_a_damaged_checkpoint_falls_back_to_the_one_before(tmp_path):
    whole = list(distill(tiny(), tmp_path / "whole"))
    with closing(distill(tiny(), tmp_path / "cut")) as events:
        next(event for event in events if isinstance(event, Checkpointed) and event.step == 30)
        next(events)
    folder = tmp_path / "cut/checkpoints/teacher"
    damaged = max(folder.glob("step-*"))
    state = damaged / "state.pt"
    content = bytearray(state.read_bytes())
    content[len(content) // 2] ^= 1
    state.write_bytes(content)
    with closing(distill(tiny(), tmp_path / "cut")) as events:
        warned = next(event for event in events if isinstance(event, Warned))
        started = next(event for event in events if isinstance(event, StageStarted))
    assert warned.code == "checkpoint_damaged"
    assert f"teacher at step {int(damaged.name[5:])} is damaged" in warned.message
    assert started.step == 30
    assert list(folder.glob("*.bad"))
    list(distill(tiny(), tmp_path / "cut"))
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    assert whole


def test_where_every_checkpoint_is_damaged_the_stage_begins_anew_and_says_so(tmp_path):
    list(distill(tiny(), tmp_path / "whole"))
    with closing(distill(tiny(), tmp_path / "cut", report_every=0)) as events:
        next(event for event in events if isinstance(event, StageProgress) and event.step == 33)
    folder = tmp_path / "cut/checkpoints/teacher"
    assert [path.name for path in sorted(folder.iterdir())] == ["step-000000030", "step-000000033"]
    for path in folder.iterdir():
        os.truncate(path / "state.pt", 64)
    again = list(distill(tiny(), tmp_path / "cut"))
    told = [event for event in warnings(again) if event.code == "checkpoint_damaged"]
    assert len(told) == 2
    assert "teacher at step 33" in told[0].message
    started = next(event for event in again if isinstance(event, StageStarted))
    assert (started.stage, started.step) == ("teacher", 0)
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


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
    assert results(tmp_path / "cut") == results(tmp_path / "whole")
    assert curve(again) == curve(whole)


@pytest.mark.parametrize("name", ["stages/teacher.safetensors", "anchors/3.safetensors"])
def test_a_bit_that_flips_in_a_finished_stage_is_noticed_and_told(tmp_path, name):
    recipe = tiny(**IMAGES, method="rco")
    list(distill(recipe, tmp_path / "whole"))
    with closing(distill(recipe, tmp_path / "cut")) as events:
        next(event for event in events if isinstance(event, StageFinished))
    file = tmp_path / "cut" / name
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    again = list(distill(recipe, tmp_path / "cut"))
    (told,) = (event for event in warnings(again) if event.code == "result_damaged")
    assert file.name in told.message
    assert results(tmp_path / "cut") == results(tmp_path / "whole")


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
