"""Values that mean nothing are refused with their place, before anything is applied."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml
from chart import CHART, RefusedError, found, rendered, variables

from jobs.settings import Settings

SCHEMA: dict[str, Any] = json.loads((CHART / "values.schema.json").read_text())
VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
# What has a value of its own in the chart, or must not be another one.
ELSEWHERE = {
    *("data", "database_url", "broker_url", "artifacts", "hub_token", "migrate"),
    *("host", "port", "allowed_hosts"),
    # Their values are in the Secret's URLs, or in variables of MLflow's own.
    *("database_password", "broker_password", "mlflow_password", "mlflow_token"),
    *("queues", "slots", "gpus", "worker_jobs", "worker_idle_seconds"),
}
LIMITS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "pattern"}
A_SECRET = "postgresql://me:hunter2@db/stillhouse"  # noqa: S105  # planted


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"api": {"replicas": -1}}, "/api/replicas.*minimum"),
        ({"api": {"replicas": "two"}}, "/api/replicas.*want integer"),
        ({"api": {"replcas": 2}}, "/api.*additional properties 'replcas'"),
        ({"apis": {}}, "additional properties 'apis'"),
        ({"api": {"readinessPath": "/"}}, "/api/readinessPath"),
        ({"settings": {"retention_day": 3}}, "/settings.*'retention_day' not allowed"),
        ({"settings": {"database_url": A_SECRET}}, "/settings.*'database_url' not allowed"),
        ({"settings": {"slots": 3}}, "/settings.*'slots' not allowed"),
        ({"settings": {"retention_days": [3]}}, "/settings/retention_days"),
        ({"settings": {"retention_days": 0}}, "/settings/retention_days.*exclusiveMinimum"),
        ({"settings": {"log_level": "loud"}}, "/settings/log_level.*'warning'"),
        ({"api": {"settings": {"webhooks": "maybe"}}}, "/api/settings/webhooks.*boolean"),
        ({"database": {"secret": A_SECRET}}, "/database/secret"),
        ({"database": {"secret": ""}}, "/database/secret"),
        ({"broker": {"key": "a b"}}, "/broker/key"),
        ({"artifacts": {"place": "gs://bucket"}}, "/artifacts/place"),
        ({"artifacts": {"s3": {"endpoint": "https://me:pw@s3"}}}, "/artifacts/s3/endpoint"),
        ({"data": {"size": "much"}}, "/data/size"),
        ({"data": {"accessMode": "ReadOnlyMany"}}, "/data/accessMode"),
        ({"user": 0}, "/user"),
        ({"images": {"api": {"digest": "sha256:12"}}}, "/images/api/digest"),
        ({"migrate": {"revision": "head; rm"}}, "/migrate/revision"),
        ({"ingress": {"enabled": True}}, "/ingress/hosts"),
        ({"ingress": {"hosts": "a.example"}}, "/ingress/hosts.*want array"),
        ({"pools": {"A100": {}}}, "A100"),
        ({"pools": {"gpu": {"queues": []}}}, "/pools/gpu/queues"),
        ({"pools": {"gpu": {"queues": ["a'); DROP TABLE jobs; --"]}}}, "/pools/gpu/queues/0"),
        ({"pools": {"gpu": {"slots": 0}}}, "/pools/gpu/slots"),
        ({"pools": {"gpu": {"gpus": 0.5}}}, "/pools/gpu/gpus"),
        ({"pools": {"gpu": {"keda": {"maximum": 0}}}}, "/pools/gpu/keda/maximum"),
        ({"pools": {"gpu": {"keda": {"idleSeconds": 0}}}}, "/pools/gpu/keda/idleSeconds"),
        (
            {"extraEnv": [{"name": "STILLHOUSE_HUB_TOKEN", "value": "hf_1"}]},
            "/extraEnv/0.*valueFrom",
        ),
        ({"api": {"extraEnv": [{"name": "AWS_SECRET_ACCESS_KEY", "value": "x"}]}}, "valueFrom"),
        ({"extraEnv": [{"name": "STILLHOUSE_QUEUES", "value": "a"}]}, "/extraEnv/0/name"),
        ({"extraEnv": {"A": "b"}}, "/extraEnv.*want array"),
        ({"metrics": {"serviceMonitor": {"interval": "soon"}}}, "/metrics/serviceMonitor/interval"),
        (
            {"data": {"persistent": False}},
            "data.persistent: found false, and no bucket in artifacts.place; expected one of them",
        ),
        (
            {"networkPolicy": {"enabled": True}},
            "networkPolicy.servers: found no rule; expected those that lead to the database",
        ),
        (
            {"pools": {"cpu": {"terminationGracePeriodSeconds": 60}}},
            "pools.cpu.terminationGracePeriodSeconds: found 60 s; expected 90 s or more",
        ),
        (
            {"settings": {"stop_seconds": 600}},
            "found 120 s; expected 630 s or more, since a trainer may take 600 s to save",
        ),
    ],
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_values_that_mean_nothing_are_refused(values: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        rendered(values)
    assert re.search(said, str(refused.value), re.DOTALL), str(refused.value)


def test_every_setting_of_the_house_can_be_set_to_what_the_house_takes() -> None:
    offered = SCHEMA["definitions"]["settings"]["properties"]
    of_bucket = {name for name in Settings.model_fields if name.startswith("s3_")}
    assert set(offered) == set(Settings.model_fields) - ELSEWHERE - of_bucket
    taken = Settings.model_json_schema()["properties"]
    for name, rule in offered.items():
        # Null is what is not said.
        kinds = [one for one in taken[name].get("anyOf", [taken[name]]) if one["type"] != "null"]
        assert rule["type"] == [kinds[0]["type"], "null"], name
        for word in LIMITS & {*rule, *kinds[0]}:
            given = rule[word][:-1] if word == "enum" else rule[word]
            assert given == kinds[0][word], name


def test_a_falsehood_of_a_role_wins_over_a_truth_for_all() -> None:
    values = {
        "settings": {"webhooks": True, "warm": True, "collect_seconds": 60},
        "api": {"settings": {"webhooks": False}},
        "pools": {"cpu": {"settings": {"warm": False, "collect_seconds": None}, "replicas": 0}},
    }
    assert variables(found("Deployment", "-api", values))["STILLHOUSE_WEBHOOKS"] == "false"
    worker = found("Deployment", "-worker-cpu", values)
    assert variables(worker)["STILLHOUSE_WARM"] == "false"
    assert worker["spec"]["replicas"] == 0


def test_every_value_that_the_schema_knows_stands_in_the_file() -> None:
    def compare(schema: dict[str, Any], values: Any, place: str) -> None:
        if ref := schema.get("$ref"):
            schema = SCHEMA["definitions"][ref.rpartition("/")[2]]
        if "properties" not in schema or place.endswith(("settings", "resources", "s/image")):
            return
        assert set(schema["properties"]) - {"global"} == set(values), place
        for name in values:
            compare(schema["properties"][name], values[name], f"{place}/{name}")

    compare(SCHEMA, VALUES, "")


def test_a_broker_is_a_choice() -> None:
    told = variables(found("Deployment", "-worker-cpu", {"broker": {"secret": ""}}))
    assert "STILLHOUSE_BROKER_URL" not in told
