"""A spec.lock replays its run, and names what is not alike."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from recipes import tiny
from resumed import results
from stillhouse.spec import read_spec

from jobs.spec import JobSpec
from kdcore import Recipe, distill
from kdcore.errors import LockError
from kdcore.events import Warned
from kdcore.yaml_text import read_yaml

ROOT = Path(__file__).parents[2]


def save_data(folder: Path, shift: float = 0.0) -> None:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(90, 6)).astype("float32")
    x[0, 0] += shift
    y = np.arange(90) % 3
    np.savez(folder / "mine.npz", x_train=x[:60], y_train=y[:60], x_test=x[60:], y_test=y[60:])


CHANGES = {
    "data": {"name": "arrays", "path": "mine.npz"},
    "seeds": [0, 4],
    "baseline": {"hard_labels": True},
    "teacher_cache": "always",
}


def recipe() -> Recipe:
    document = tiny(seeds=[0, 4]).model_dump(mode="json")
    return Recipe.model_validate({**document, **CHANGES})


@pytest.fixture(scope="module")
def locked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("locked")
    save_data(folder)
    list(distill(recipe(), folder / "out", inputs=folder))
    file = folder / "out/artifacts/spec.lock"
    return SimpleNamespace(folder=folder, file=file, document=json.loads(file.read_text()))


def replay(document, folder, inputs) -> list[Warned]:
    events = distill(Recipe.model_validate(document), folder, inputs=inputs)
    return [event for event in events if isinstance(event, Warned)]


def with_lock(document, **changes):
    return {**document, "lock": {**document["lock"], **changes}}


def codes(warnings: list[Warned]) -> set[str]:
    return {one.code for one in warnings if "lock" in one.code or "replay" in one.code}


def test_it_is_the_whole_recipe_and_what_it_was_made_with(locked):
    lock = locked.document["lock"]
    assert {name: value for name, value in locked.document.items() if name != "lock"} == {
        name: value for name, value in recipe().model_dump(mode="json").items() if name != "lock"
    }
    assert lock["versions"]["torch"] == torch.__version__
    assert set(lock["versions"]) == {"python", "kdcore", "torch", "numpy", "safetensors"}
    assert lock["digests"]["recipe"] == recipe().digest()
    assert lock["weights"].keys() == {
        "teacher",
        *(f"{role}-{seed}" for seed in (0, 4) for role in ("baseline", "hard_labels", "student")),
    }


def test_a_replay_ends_with_the_same_weights(locked, tmp_path):
    warnings = replay(locked.document, tmp_path / "again", locked.folder)
    assert not codes(warnings)
    assert results(tmp_path / "again") == results(locked.folder / "out")
    again = json.loads((tmp_path / "again/artifacts/spec.lock").read_text())
    assert again == locked.document


def test_a_replay_begins_with_the_locked_threads_and_choices(locked, tmp_path):
    question = next(iter(locked.document["lock"]["choices"]))
    choices = {**locked.document["lock"]["choices"], "a question of its own": "an answer"}
    document = with_lock(locked.document, choices=choices)
    list(distill(Recipe.model_validate(document), tmp_path, inputs=locked.folder))
    settled = json.loads((tmp_path / "choices.json").read_text())
    assert settled == choices
    assert question in settled
    assert (tmp_path / "run.threads").read_text() == "1"


def test_other_data_are_refused_by_name(locked, tmp_path):
    save_data(tmp_path, shift=1e-3)
    with pytest.raises(LockError, match=r"the sha256 of data is .*, locked with") as caught:
        replay(locked.document, tmp_path / "out", tmp_path)
    assert "recipe" not in str(caught.value)
    warnings = replay(with_lock(locked.document, differences="warn"), tmp_path / "w", tmp_path)
    assert codes(warnings) == {"lock_differs", "replay_differs"}
    differing = [one.message.split()[0] for one in warnings if one.code == "replay_differs"]
    assert "student-4" in differing


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"versions": {"torch": "1.0.0", "timm": "9"}},
            "torch is .*, locked with 1.0.0; timm is none",
        ),
        ({"device": "cuda"}, "the device is cpu, locked with cuda"),
        ({"digests": {"weights": "0" * 64}}, "the sha256 of weights is none, locked with 000000"),
    ],
)
def test_every_difference_is_named_before_anything_is_trained(locked, tmp_path, changes, says):
    with pytest.raises(LockError, match=says):
        replay(with_lock(locked.document, **changes), tmp_path, locked.folder)
    assert not (tmp_path / "stages").exists()


def test_a_changed_recipe_is_a_difference(locked, tmp_path):
    with pytest.raises(LockError, match="the sha256 of recipe"):
        replay({**locked.document, "seeds": [0]}, tmp_path, locked.folder)


def test_another_processor_is_warned_of_alone(locked, tmp_path):
    document = with_lock(locked.document, processor="a machine of another make")
    warnings = replay(document, tmp_path, locked.folder)
    assert codes(warnings) == {"lock_differs"}
    assert "a machine of another make" in next(
        one.message for one in warnings if one.code == "lock_differs"
    )


def test_a_run_that_goes_on_keeps_what_it_began_with(locked, tmp_path):
    list(distill(recipe(), tmp_path, inputs=locked.folder))
    choices = (tmp_path / "choices.json").read_text()
    document = with_lock(locked.document, choices={})
    assert not codes(replay(document, tmp_path, locked.folder))
    assert (tmp_path / "choices.json").read_text() == choices


def test_it_is_a_spec_that_clients_read_and_servers_take(locked):
    sent = read_spec(str(locked.file), ["lock.differences=warn", "priority=70"])
    spec = JobSpec.model_validate(sent)
    assert (spec.lock and spec.lock.differences, spec.priority) == ("warn", 70)
    assert spec.recipe().digest() == locked.document["lock"]["digests"]["recipe"]
    assert read_yaml(locked.file.read_bytes()) == locked.document


def test_what_is_no_lock_is_refused_with_a_pointer(locked):
    with pytest.raises(ValidationError) as caught:
        Recipe.model_validate(with_lock(locked.document, digests={"data": "short"}))
    assert caught.value.errors()[0]["loc"][:2] == ("lock", "digests")


@pytest.mark.slow
def test_the_command_replays_and_says_so(locked, tmp_path):
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "kdcore", *words, "--inputs", str(locked.folder)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    done = run(str(locked.file), str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "every network has the locked weights, bit for bit"
    other = tmp_path / "other.lock"
    other.write_text(json.dumps(with_lock(locked.document, versions={"torch": "1.0.0"})))
    refused = run(str(other), str(tmp_path / "refused"))
    assert refused.returncode == 1
    assert "lock_differs: not as locked: torch is" in refused.stderr
    warned = run(str(other), str(tmp_path / "warned"), "--differences", "warn")
    assert warned.returncode == 0, warned.stderr
    assert "warning: not as locked: torch is" in warned.stdout
