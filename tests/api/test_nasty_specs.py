"""A thousand generated nasty specs: each is stored or refused, as documented, and none is a 500.

A spec that is valid is damaged at random places: other types, huge and odd numbers, half
characters, deep and long values, keys that are unknown, missing or written twice. Others are put
together of what exists on the axes, whether or not anybody could mean it.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from fastapi.testclient import TestClient
from ledgers import empty

from kdcore.catalog import AXES

SPECS = 1000
EXAMPLES = [
    yaml.safe_load(file.read_text())
    for file in sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
]
BASES: list[dict[str, Any]] = [
    {"teacher": "plain_cnn", "student": "mlp", "data": "digits"},
    {"teacher": "resnet56", "student": "resnet20", "data": "cifar100", "method": "dkd"},
    {
        "name": "a chain",
        "teacher": {"model": "wrn_40_2", "training": {"max_steps": 9, "optim": "adamw"}},
        "student": {"model": {"name": "wide_resnet", "depth": 16, "width": 1}},
        "data": {
            "name": "synthetic",
            "shape": [3, 16, 16],
            "validation_size": 64,
            "augmentation": {"crop_padding": 2, "mixup": 0.2, "views": 4},
        },
        "method": {"name": "takd", "assistants": ["wrn_22_2", {"model": "wrn_16_2", "name": "b"}]},
        "training": {"num_train_epochs": 3, "ema_decay": 0.9, "load_best_model_at_end": True},
        "seeds": [0, 1, 2],
        "gates": ["student.accuracy >= 0.5", "uplift.low > 0"],
        "labels": {"team": "vision"},
        "runtime": {"device": "cpu", "threads": "auto"},
        "resources": {"gpus": 0},
    },
    {
        "teacher": {"model": "mlp", "weights": "teacher.safetensors"},
        "student": {"model": {"name": "mlp", "hidden": [4, 4]}},
        "data": {"name": "arrays", "path": "mine.npz", "labelled": 50, "unlabelled": False},
        "objectives": [{"name": "kd", "weight": 0.5}, "cross_entropy", {"name": "rkd", "end": 0.5}],
        "temperature": {"name": "ctkd"},
        "weighting": "wsld",
        "curriculum": {"name": "easy_to_hard", "pacing": "root"},
        "teacher_cache": "always",
        "priority": 7,
        "max_runtime_seconds": 60,
    },
    *EXAMPLES,
]
LONG = "x" * 5_000
VALUES: list[Any] = [
    *(None, True, False, "", " ", "0", "a\0b", "\ud800", "\udfff\ud800", "\u202e", "🥃" * 99, LONG),
    *(0, -0.0, -1, 1, 2, 5, 0.5, 1.5, 5e-324, -1e-9, 1e308, -1e308, 2**31 - 1, 2**31, 2**53),
    *(2**63 - 1, -(2**63), 2**63, 10**30, float("nan"), float("inf"), -float("inf")),
    *([], {}, [[]], [{}], [None], {"": ""}, {"name": None}, {"name": []}, {"name": {}}),
    *({"name": "kd"}, {"value": 1}, ["kd", "kd"], [0, 0], ["a"] * 400, list(range(200))),
    *("../../etc/passwd", "/etc/passwd", "http://localhost/", "__class__", "%s%n", "${jndi:x}"),
    *("{{7*7}}", "<script>", "'; DROP TABLE job; --", "NaN", "auto", "never", "2026-11-22"),
]
WORDS = sorted({word for entries in AXES.values() for word in entries})
KEYS = [
    "name",
    "weight",
    "value",
    "model",
    "nonsense",
    "",
    "a/b~c",
    "é",
    "__proto__",
    "constructor",
]


class Twice(dict[str, Any]):
    """An object one of whose keys is written twice."""


class Raw(str):
    """A number as it is written."""

    __slots__ = ()


def places(document: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values."""
    found = [path] if path else []
    if isinstance(document, dict):
        found += [one for key, child in document.items() for one in places(child, (*path, key))]
    elif isinstance(document, list):
        found += [one for key, child in enumerate(document) for one in places(child, (*path, key))]
    return found


def deep(choose: random.Random) -> Any:
    value: Any = copy.deepcopy(choose.choice(VALUES))
    for _ in range(choose.choice([2, 10, 66])):
        value = [value] if choose.random() < 0.5 else {"name": value}
    return value


def odd(choose: random.Random, before: Any) -> Any:
    """Return what stands in a value's place."""
    value: Any = copy.deepcopy(choose.choice(VALUES))
    match choose.randrange(10):
        case 0:
            value = deep(choose)
        case 1:
            value = Raw(choose.choice(["1e400", "-1e999", "9" * 300, "1E+2", "-0", "0.1e-400"]))
        case 2 | 3:
            value = choose.choice(WORDS)
        case 4 if isinstance(before, int | float):
            value = before * choose.choice([-1, 0, 1000, 10**6, 10**9, 10**15, 1e-12])
        case 5:
            value = [before] * choose.choice([2, 17, 101])
        case 6:
            value = {"name": choose.choice(WORDS), choose.choice(KEYS): before}
        case _:
            pass
    return value


def damage(document: Any, choose: random.Random) -> None:
    """Change a document at one place."""
    path = choose.choice(places(document))
    parent = document
    for key in path[:-1]:
        parent = parent[key]
    key = path[-1]
    match choose.randrange(8):
        case 0:
            del parent[key]
        case 1 if isinstance(parent, dict):
            parent[choose.choice([*KEYS, *WORDS, "a\0b", "\ud800", LONG])] = parent.pop(key)
        case 2 if isinstance(parent, dict):
            parent[choose.choice([*document, *KEYS])] = odd(choose, parent[key])
        case 3 if isinstance(parent, dict):
            twin = Twice(parent)
            if len(path) == 1:
                parent[key] = odd(choose, parent[key])
            else:
                above = document
                for step in path[:-2]:
                    above = above[step]
                above[path[-2]] = twin
        case _:
            parent[key] = odd(choose, parent[key])


OF_AXIS = {
    "method": "methods",
    "temperature": "temperatures",
    "weighting": "weightings",
    "path": "paths",
    "curriculum": "curricula",
    "teacher": "models",
    "student": "models",
    "data": "datasets",
}


def combine(document: dict[str, Any], choose: random.Random) -> None:
    """Put together what exists, whether or not it has a meaning."""
    for field in choose.sample(list(OF_AXIS), choose.randint(1, 3)):
        document[field] = choose.choice(sorted(AXES[OF_AXIS[field]]))
    if choose.random() < 0.3:
        known = sorted(AXES["objectives"])
        document["objectives"] = choose.choices(known, k=choose.randint(1, 3))
    if choose.random() < 0.4:
        numbers = {
            "max_steps": choose.choice([1, 40, 10**7]),
            "per_device_train_batch_size": choose.choice([1, 2, 64, 65_536]),
            "save_steps": choose.choice([1, 500]),
            "eval_steps": choose.choice([1, 500]),
            "save_total_limit": choose.choice([1, 100]),
        }
        document["training"] = dict(choose.sample(list(numbers.items()), 3))
    if choose.random() < 0.2:
        wide = [choose.choice([1, 64, 4096, 65_536])] * choose.choice([1, 4, 32])
        document["student"] = {"model": {"name": "mlp", "hidden": wide}}
    if choose.random() < 0.2:
        document["seeds"] = list(range(choose.choice([1, 5, 100])))


def written(value: Any) -> str:
    """Return JSON, with all that no JSON should hold."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        members = [f"{json.dumps(key)}: {written(child)}" for key, child in value.items()]
        return "{" + ", ".join(members + members[:1] * isinstance(value, Twice)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(written, value)) + "]"
    return json.dumps(value)


def nasty(number: int) -> str:
    """Return the text of a nasty spec; the same for each number."""
    choose = random.Random(number)
    document = copy.deepcopy(choose.choice(BASES))
    combined = choose.random() < 0.5
    if combined:
        combine(document, choose)
    for _ in range(choose.choice([0, 0, 0, 1] if combined else [1, 1, 1, 2, 4])):
        if places(document):
            damage(document, choose)
    text = written(document)
    if choose.random() < 0.05:
        cut = choose.randrange(len(text))
        text = (
            text[:cut]
            + choose.choice(["", "\x00", "}", "]]", ",", "\u2028", '"'])
            + text[cut + 1 :]
        )
    return text


@pytest.mark.slow
def test_a_thousand_nasty_specs_are_each_stored_or_refused(lasting_client: TestClient) -> None:
    client = lasting_client
    documented = client.get("/openapi.json").json()["paths"]["/v1/jobs"]["post"]["responses"]
    seen: Counter[int] = Counter()
    for number in range(SPECS):
        text = nasty(number)
        dry = number % 3 == 0
        response = client.post(
            "/v1/jobs" + "?dry_run=true" * dry,
            content=text.encode("utf-8", "surrogatepass"),
            headers={"Content-Type": "application/json"},
        )
        seen[response.status_code] += 1
        told = f"spec {number}: {response.status_code} {response.text[:300]}\n{text[:2000]}"
        assert str(response.status_code) in documented, told
        if response.status_code < 300:
            assert response.status_code == (200 if dry else 201), told
            if not dry:
                kept = client.get(response.headers["location"])
                assert kept.json()["spec"] == json.loads(text), told
            continue
        body = response.json()
        assert response.headers["content-type"] == "application/problem+json", told
        assert response.status_code in {413, 422}, told
        assert body["errors"], told
        assert all(error["message"] and len(error["message"]) < 2_000 for error in body["errors"])
    for page in ("/", "/v1/jobs?limit=200"):
        assert client.get(page).status_code == 200
    # Most are refused, and enough are stored for the refusals to mean something.
    assert seen[200] + seen[201] > SPECS // 20
    assert seen[422] > SPECS // 2
    empty(client.app.state.house.database)  # type: ignore[attr-defined]
