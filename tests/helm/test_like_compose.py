"""The chart and docker-compose.yml run the same house: commands, settings, probes, patience."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from chart import container, documents, found, pod_of, variables
from fastapi.testclient import TestClient
from value_sets import EVERYTHING, INGRESS, SETS

from api.app import create_app
from jobs.settings import Settings

ROOT = Path(__file__).parents[2]
SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
ROLES = {
    "migrate": ("Job", "-migrate"),
    "api": ("Deployment", "-api"),
    "worker": ("Deployment", "-worker-cpu"),
    "sweeper": ("Deployment", "-sweeper"),
}
of_each_role = pytest.mark.parametrize("role", ROLES)


@of_each_role
def test_the_command_is_that_of_compose(role: str) -> None:
    assert container(found(*ROLES[role]))["command"] == SERVICES[role]["command"]


@of_each_role
def test_what_compose_tells_a_service_the_chart_can_tell_a_pod(role: str) -> None:
    values = {
        "settings": {"retention_days": 90},
        "api": {
            "settings": {
                "webhook_allow": "10.1.0.0/16",
                "mlflow_url": "http://mlflow:5000",
                "mlflow_public_url": "https://mlflow.example",
                "mlflow_experiment": "students",
                "mlflow_register": False,
                "mlflow_model": "students",
                "mlflow_alias": "candidate",
                "mlflow_artifact_bytes": 1 << 20,
            },
            "extraEnv": [
                {
                    "name": f"MLFLOW_TRACKING_{name}",
                    "valueFrom": {"secretKeyRef": {"name": "mlflow", "key": name.lower()}},
                }
                for name in ("USERNAME", "PASSWORD", "TOKEN")
            ],
        },
    }
    told = variables(found(*ROLES[role], values))
    # Passwords, files in Compose, stand here in the Secret's URLs.
    asked = {name for name in SERVICES[role]["environment"] if not name.endswith("_FILE")}
    assert asked <= set(told)
    assert told["STILLHOUSE_DATA"] == SERVICES[role]["environment"]["STILLHOUSE_DATA"]


@of_each_role
def test_a_pod_has_as_long_to_end_as_compose_gives_it(role: str) -> None:
    given = SERVICES[role].get("stop_grace_period")
    spec = (pod_of(found(*ROLES[role])) or {})["spec"]
    if given is not None:
        assert f"{spec['terminationGracePeriodSeconds']}s" == given


def test_every_role_of_compose_that_is_ours_has_its_pods() -> None:
    ours = {name for name, one in SERVICES.items() if one["image"].startswith("stillhouse-")}
    # The GPU's worker is a pool with an image of its own.
    assert ours == {*ROLES, "worker-gpu"}


@pytest.mark.parametrize("name", SETS)
def test_every_setting_in_the_chart_is_one_of_the_house(name: str) -> None:
    known = {f"STILLHOUSE_{field.upper()}" for field in Settings.model_fields}
    for one in documents(SETS[name]):
        if pod_of(one) is not None and one["kind"] != "Pod":
            told = {key for key in variables(one) if key.startswith("STILLHOUSE_")}
            assert told
            assert told <= known


@pytest.mark.parametrize("name", SETS)
def test_the_house_can_read_what_it_is_told(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for one in documents(SETS[name]):
        if pod_of(one) is None or one["kind"] == "Pod":
            continue
        with monkeypatch.context() as patch:
            for key, value in variables(one).items():
                patch.setenv(key, value if isinstance(value, str) else "sqlite://")
            read = Settings()
        if name == "everything":
            assert (read.upload_bytes, read.retention_days, read.warm) == (50 << 30, 90, True)


def test_the_probes_ask_what_composes_check_asks() -> None:
    api = container(found("Deployment", "-api"))
    asked = {kind: api[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")}
    assert {one["port"] for one in asked.values()} == {"http"}
    assert asked["readiness"]["path"] in SERVICES["api"]["healthcheck"]["test"][-1]
    assert asked["readiness"]["path"] == "/readyz"
    # Whatever is behind it, an answer takes 4 s at most.
    assert api["readinessProbe"]["timeoutSeconds"] > 4
    assert {asked["liveness"]["path"], asked["startup"]["path"]} == {"/livez"}
    assert api["ports"] == [{"name": "http", "containerPort": 8000}]


def test_the_api_answers_to_every_name_that_leads_to_it(tmp_path: Path) -> None:
    told = variables(found("Deployment", "-api", INGRESS))
    assert list(told).index("POD_IP") < list(told).index("STILLHOUSE_ALLOWED_HOSTS")
    names = told["STILLHOUSE_ALLOWED_HOSTS"]
    # As the kubelet writes it out, for one pod with an address of either kind.
    written = [names.replace("$(POD_IP)", address) for address in ("10.1.2.3", "fd00::7")]
    service = "house-stillhouse-api"
    with TestClient(create_app(Settings(data=tmp_path, allowed_hosts=",".join(written)))) as client:
        for host, status in {
            # Probes and Prometheus call a pod by its address.
            "10.1.2.3:8000": 200,
            "[fd00::7]:8000": 200,
            service: 200,
            f"{service}.distilling.svc.cluster.local:80": 200,
            "stillhouse.example.org": 200,
            "distil.example.org": 200,
            "evil.example.org": 400,
            "10.9.9.9:8000": 400,
        }.items():
            assert client.get("/livez", headers={"Host": host}).status_code == status, host


def test_redis_for_a_trial_is_told_what_that_of_compose_is() -> None:
    trial = yaml.safe_load_all((ROOT / "deploy" / "helm" / "trial.yaml").read_text())
    made = {(one["kind"], one["metadata"]["name"]): one for one in trial}
    told = made["ConfigMap", "stillhouse-redis"]["data"]["redis.conf"].splitlines()
    lines = (ROOT / "docker" / "redis.conf").read_text().splitlines()
    assert told == [line for line in lines if not line.startswith("#")]
    for name in ("postgres", "redis"):
        server = container(made["StatefulSet", f"stillhouse-{name}"])
        assert server["image"] == SERVICES[name]["image"]
        # Compose writes `$$` for the shell's `$`.
        given = [word.replace("$$", "$") for word in SERVICES[name].get("command", [])]
        assert server.get("command", []) == given


def test_workers_reach_what_they_need_and_nobody_reaches_them() -> None:
    made = documents(EVERYTHING)
    policies = {
        one["metadata"]["name"].rpartition("-")[2]: one["spec"]
        for one in made
        if one["kind"] == "NetworkPolicy"
    }
    assert set(policies) == {"api", "worker", "sweeper", "migrate"}
    for role, spec in policies.items():
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        assert ("ingress" in spec) == (role == "api")
    # `networks: [inside]`: names, and the servers.
    assert len(policies["sweeper"]["egress"]) == len(policies["migrate"]["egress"]) == 2
    assert policies["worker"]["egress"][2:] == [{"ports": [{"port": 443}]}]
