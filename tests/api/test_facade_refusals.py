"""Fine-tuning jobs that nobody can run: each is refused with its place in what was sent."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from openai_clients import DIGITS, kd

WRONG: dict[str, tuple[dict[str, Any], str, str]] = {
    "no method": ({"method": None}, "method_missing", "/method"),
    "supervised": ({"method": {"type": "supervised"}}, "method_not_supported", "/method/type"),
    "dpo": ({"method": {"type": "dpo", "dpo": {}}}, "method_not_supported", "/method/type"),
    "another type": (
        {"method": {"type": "x", "distillation": {}}},
        "literal_error",
        "/method/type",
    ),
    "integrations": (
        {"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]},
        "integrations_not_supported",
        "/integrations",
    ),
    "a model of theirs": ({"model": "gpt-4o-mini"}, "union_tag_invalid", "/model"),
    "two models": ({"method": kd(student="resnet8")}, "model_differs", "/model"),
    "no teacher": (
        {"method": {"type": "distillation", "distillation": {}}},
        "missing",
        "/method/distillation/teacher",
    ),
    "an unknown field": ({"method": kd(gates2=[])}, "extra", "/method/distillation/gates2"),
    "an unknown field beside": ({"tempratur": 3}, "extra", "/tempratur"),
    "a field twice": ({"method": kd(seeds=[1]), "seed": 1}, "given_twice", "/seed"),
    "a field in two places": (
        {"method": kd(priority=1), "priority": 2},
        "given_twice",
        "/priority",
    ),
    "a negative seed": ({"seed": -1}, "greater_than_equal", "/seed"),
    "a seed that is true": ({"seed": True}, "int_type", "/seed"),
    "a long suffix": ({"suffix": "x" * 201}, "string_too_long", "/suffix"),
    "metadata with spaces": ({"metadata": {"a b": "c"}}, "string_pattern", "/metadata/a b"),
    "too much metadata": (
        {"metadata": {f"k{n}": "v" for n in range(17)}},
        "too_long",
        "/metadata",
    ),
    "no epochs": ({"hyperparameters": {"n_epochs": 0}}, "greater", "/hyperparameters/n_epochs"),
    "too many epochs": (
        {"hyperparameters": {"n_epochs": 10**6}},
        "less_than_equal",
        "/hyperparameters/n_epochs",
    ),
    "epochs twice": (
        {"method": kd(training={"num_train_epochs": 2}), "hyperparameters": {"n_epochs": 3}},
        "given_twice",
        "/hyperparameters/n_epochs",
    ),
    "a rate beyond all numbers": (
        {
            "method": kd(training={"learning_rate": 1e300}),
            "hyperparameters": {"learning_rate_multiplier": 1e300},
        },
        "finite_number",
        "/hyperparameters/learning_rate_multiplier",
    ),
    "a multiple of true": (
        {
            "method": kd(training={"learning_rate": True}),
            "hyperparameters": {"learning_rate_multiplier": 2},
        },
        "float_type",
        "/method/distillation/training/learning_rate",
    ),
    "epochs and steps": (
        {"method": kd(training={"max_steps": 2}), "hyperparameters": {"n_epochs": 3}},
        "two_lengths",
        "/method/distillation/training",
    ),
    "hyperparameters twice": (
        {"method": kd(hyperparameters={"n_epochs": 2}), "hyperparameters": {"n_epochs": 2}},
        "given_twice",
        "/hyperparameters",
    ),
    "a hyperparameter of dpo": ({"hyperparameters": {"beta": 1}}, "extra", "/hyperparameters/beta"),
    "no such file": ({"training_file": "file-abc"}, "file_not_found", "/training_file"),
    "a file that never was": (
        {"training_file": "ds_" + "0" * 26},
        "file_not_found",
        "/training_file",
    ),
    "a model as a file": ({"training_file": "mdl_" + "0" * 26}, "wrong_kind", "/training_file"),
    "another path": (
        {"training_file": "ds_" + "0" * 26, "method": kd(data={"path": "x.npz"})},
        "given_twice",
        "/training_file",
    ),
    "data of another kind": (
        {"method": kd(data="cifar10")},
        "given_twice",
        "/training_file",
    ),
    "data that is a list": (
        {"method": kd(data=[])},
        "model_attributes_type",
        "/method/distillation/data",
    ),
    "an option that is unknown": (
        {"method": kd(data={"size": 3})},
        "extra",
        "/method/distillation/data/size",
    ),
    "no validation file": ({"validation_file": "x"}, "file_not_found", "/validation_file"),
    "a teacher that never was": (
        {"method": kd(teacher="job_" + "0" * 26)},
        "job_not_found",
        "/method/distillation/teacher/model/path",
    ),
    "a text for a model": ({"model": 3}, "string_type", "/model"),
    "a list for a method": ({"method": []}, "model_type", "/method"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_meant_is_refused_with_its_place(
    lasting_client: TestClient, name: str
) -> None:
    changes, code, place = WRONG[name]
    answer = lasting_client.post("/v1/fine_tuning/jobs", json={**DIGITS, **changes})
    assert answer.status_code == 422, answer.text
    errors = answer.json()["errors"]
    assert any(one["pointer"] == place and one["code"].startswith(code) for one in errors), errors
    assert answer.json()["error"]["param"] == errors[0]["pointer"]
    assert lasting_client.get("/v1/jobs").json()["data"] == []
