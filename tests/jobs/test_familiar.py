"""A recipe seen before is read as it would be read anew, and nothing of a job hides behind it."""

import json
import random
from typing import Any

import pytest
from pydantic import ValidationError
from specs import document

from jobs.familiar import OWN, read_familiar
from jobs.spec import LOOKED_THROUGH, JobSpec
from jobs.submission import Submission
from kdcore.catalog import METHODS, describe
from kdcore.recipe import Recipe

ALL_METHODS: list[Any] = [
    {"name": name, "assistants": ["plain_cnn"]} if name in {"takd", "dgkd"} else name
    for name in METHODS
]
OWNS: list[dict[str, Any]] = [
    {},
    {"name": 'ünïcødé 🥃 "\\ \u2603', "labels": {"k": "x'\"y"}},
    {"name": None, "seeds": [3], "priority": 1},
    {"seeds": [7, 1, 5], "max_attempts": 2, "max_runtime_seconds": 60},
    {"resources": {"gpus": 2}},
    {"resources": {"gpus": 0}},
]
REFUSED: list[dict[str, Any]] = [
    {"name": ""},
    {"name": "two\nlines"},
    {"seeds": []},
    {"seeds": [1, 1]},
    {"seeds": [True]},
    {"seeds": 3},
    {"labels": {"": "x"}},
    {"priority": 101},
    {"priority": 5.0},
    {"max_attempts": None},
    {"resources": {"gpus": 2}, "runtime": {"device": "cpu"}},
]


def test_every_field_of_a_job_is_tried_here() -> None:
    """One that writes a part of the recipe, as resources do, must not be taken for a job's own."""
    tried = {name for own in OWNS for name in own}
    assert set(JobSpec.model_fields) - set(Recipe.model_fields) <= tried


@pytest.mark.parametrize("method", ALL_METHODS, ids=str)
def test_a_familiar_recipe_is_read_as_if_it_were_the_first_time(method: Any) -> None:
    for own in (*OWNS, *OWNS):
        sent = document(method=method, student="plain_cnn", **own)
        try:
            plain = JobSpec.model_validate(sent)
        except ValidationError:
            assert read_familiar(sent) is None
            continue
        known = read_familiar(sent)
        assert known is not None
        assert known.spec == plain
        assert known.recipe == Submission.of(plain, sent).recipe


@pytest.mark.parametrize("own", REFUSED, ids=str)
def test_what_is_a_jobs_own_is_checked_every_time(own: dict[str, Any]) -> None:
    assert read_familiar(document()) is not None
    assert read_familiar(document(**own)) is None
    with pytest.raises(ValidationError):
        JobSpec.model_validate(document(**own))


def test_numbers_that_are_equal_and_not_the_same_are_not_mixed_up() -> None:
    assert read_familiar(document(training={"max_steps": 1})) is not None
    for other in (1.0, True):
        assert read_familiar(document(training={"max_steps": other})) is None


def test_a_gate_that_wants_several_seeds_is_asked_for_each_number_of_them() -> None:
    gated = document(gates=["uplift.low > 0"])
    assert read_familiar({**gated, "seeds": [1, 2]}) is not None
    assert read_familiar({**gated, "seeds": [1]}) is None
    assert read_familiar({**gated, "seeds": [2, 1]}) is not None


class _Count(list[int]):
    """Seeds that tell how many they are, and nothing else."""

    def __iter__(self) -> Any:
        raise AssertionError("a check has looked at the seeds")

    __getitem__ = __contains__ = __eq__ = __iter__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


class _Watched(JobSpec):
    def __getattribute__(self, name: str) -> Any:
        if name in set(OWN) - {"seeds"}:
            raise AssertionError(f"a check has looked at {name}")
        return super().__getattribute__(name)


@pytest.mark.parametrize("method", ALL_METHODS, ids=str)
def test_no_check_of_a_recipe_looks_at_what_is_a_jobs_own(method: Any) -> None:
    name = method if isinstance(method, str) else method["name"]
    bert = {"model": {"name": "huggingface_config", "config": {"model_type": "bert"}}}
    networks: dict[str, Any] = {"student": "plain_cnn"}
    if describe("methods", METHODS[name])["needs_tokens"]:
        networks = {"teacher": bert, "student": bert, "data": "synthetic_text"}
    sent = document(method=method, gates=["uplift.low > 0"], **networks)
    read = _Watched.model_validate({**sent, "seeds": [1, 2, 3]}, context=LOOKED_THROUGH)
    read.__dict__["seeds"] = _Count([1, 2, 3])
    validate: Any = read._makes_sense  # the checks, and nothing around them
    validate()


def test_what_changes_from_post_to_post_is_never_remembered() -> None:
    chance = random.Random(2)
    for _ in range(300):
        rate = chance.choice([0.1, 0.05, 0.01])
        own = {"name": str(chance.random()), "seeds": [chance.randrange(1000)]}
        sent = document(training={"learning_rate": rate}, **own)
        known = read_familiar(sent)
        assert known is not None
        recipe = json.loads(known.recipe)
        assert (recipe["name"], recipe["seeds"]) == (own["name"], own["seeds"])
        assert recipe["training"]["learning_rate"] == known.spec.training.learning_rate == rate


def test_a_recipe_that_was_forgotten_is_read_again() -> None:
    sent = [document(training={"max_steps": steps}, seeds=[steps]) for steps in range(1, 200)]
    first = [read_familiar(one) for one in sent]
    assert [read_familiar(one) for one in sent] == first
    assert [one and one.spec.training.max_steps for one in first] == list(range(1, 200))
