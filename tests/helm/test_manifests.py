"""What the chart makes is what Kubernetes takes, and is as locked down as docker-compose.yml."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from chart import (
    CHART,
    NAMESPACE,
    RELEASE,
    container,
    documents,
    found,
    pod_of,
    rendered,
    variables,
)
from value_sets import BUCKET, EVERYTHING, GPUS, INGRESS, KEDA, SETS, STOPPED

from scripts.chart_files import COPIES

DEPLOY = CHART.parents[1]
OLDEST, NEWEST = "1.30", "1.37"
TRIAL = [*yaml.safe_load_all((DEPLOY / "helm" / "trial.yaml").read_text())]
# Fields that the operators' own definitions have; what is in them is tested below.
CUSTOM = {
    "ScaledJob": {
        *("pollingInterval", "minReplicaCount", "maxReplicaCount", "successfulJobsHistoryLimit"),
        *("failedJobsHistoryLimit", "rollout", "scalingStrategy", "triggers", "jobTargetRef"),
    },
    "TriggerAuthentication": {"secretTargetRef"},
    "ServiceMonitor": {"selector", "endpoints"},
    "PrometheusRule": {"groups"},
}
in_each_set = pytest.mark.parametrize("name", SETS)


@pytest.mark.parametrize(
    ("name", "version"), [*((name, NEWEST) for name in SETS), ("everything", OLDEST)]
)
def test_kubernetes_takes_every_document(name: str, version: str) -> None:
    for one in documents(SETS[name]):
        if one["kind"] in CUSTOM:
            assert set(one["spec"]) <= CUSTOM[one["kind"]]
            if one["kind"] != "ScaledJob":
                continue
            # Its heart is a Job's specification.
            inner = {"apiVersion": "batch/v1", "kind": "Job", "spec": one["spec"]["jobTargetRef"]}
            kubernetes_validate.validate(inner, version, strict=True)
        else:
            kubernetes_validate.validate(one, version, strict=True)


def test_kubernetes_takes_the_servers_for_a_trial() -> None:
    for one in TRIAL:
        kubernetes_validate.validate(one, OLDEST, strict=True)


def test_a_field_that_kubernetes_does_not_know_would_be_seen() -> None:
    one = found("Deployment", "-api")
    one["spec"]["template"]["spec"]["serviceAccountname"] = "typo"
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, NEWEST, strict=True)


@in_each_set
def test_nothing_has_the_name_of_another_and_all_names_are_short_enough(name: str) -> None:
    for values in (SETS[name], {**SETS[name], "fullnameOverride": "a" * 60}):
        made = [(one["kind"], one["metadata"]["name"]) for one in documents(values)]
        assert len(set(made)) == len(made)
        # KEDA appends letters of chance to the names of its Jobs.
        assert all(len(told) <= 57 for _, told in made)


@in_each_set
def test_every_pod_is_nobody_special_and_can_gain_nothing(name: str) -> None:
    for pod in filter(None, map(pod_of, documents(SETS[name]))):
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is False
        # A Service named stillhouse would set STILLHOUSE_PORT.
        assert spec["enableServiceLinks"] is False
        # `init: true`: somebody reaps what trainers leave behind.
        assert spec["shareProcessNamespace"] is True
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for key in ("runAsUser", "runAsGroup", "fsGroup"):
            expected = None if name == "openshift" else 10001
            assert spec["securityContext"].get(key) == expected
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        (only,) = spec["containers"]
        assert only["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert only["resources"]["requests"]
        assert only["resources"]["limits"]


@in_each_set
def test_selectors_find_their_pods_and_no_others(name: str) -> None:
    made = documents(SETS[name])
    pods = {
        one["metadata"]["name"]: pod["metadata"]["labels"]
        for one in made
        if (pod := pod_of(one)) is not None
    }
    for one in made:
        selector = one["spec"].get("selector") if "spec" in one else None
        if selector is None or one["kind"] == "ServiceMonitor":
            continue
        wanted = selector.get("matchLabels", selector).items()
        hit = {pod for pod, labels in pods.items() if wanted <= labels.items()}
        own = one["metadata"]["name"]
        assert hit == ({own} if own in pods else {next(p for p in pods if p.endswith("-api"))})


@in_each_set
def test_what_is_written_to_is_mounted_and_nothing_of_a_pod_is_mounted_twice(name: str) -> None:
    for one in documents(SETS[name]):
        if one["kind"] == "Pod" or (pod := pod_of(one)) is None:
            continue
        volumes = {volume["name"] for volume in pod["spec"]["volumes"]}
        mounts = {mount["mountPath"]: mount["name"] for mount in container(one)["volumeMounts"]}
        assert set(mounts.values()) == volumes
        assert {"/tmp", "/data"} <= set(mounts)  # noqa: S108  # the pods' own


def test_the_migration_comes_before_all_that_the_chart_makes_and_needs_nothing_of_it() -> None:
    job = found("Job", "-migrate")
    assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
    spec = job["spec"]["template"]["spec"]
    assert "serviceAccountName" not in spec
    assert all("emptyDir" in volume for volume in spec["volumes"])
    assert container(found("Job", "-migrate", EVERYTHING))["command"][-1] == "0013"


def test_data_stays_when_the_chart_goes_and_an_own_claim_is_used() -> None:
    claim = found("PersistentVolumeClaim", "-data")
    assert claim["metadata"]["annotations"] == {"helm.sh/resource-policy": "keep"}
    assert "PersistentVolumeClaim" not in {one["kind"] for one in documents(EVERYTHING)}
    spec = found("Deployment", "-api", EVERYTHING)["spec"]["template"]["spec"]
    assert {"name": "data", "persistentVolumeClaim": {"claimName": "files"}} in spec["volumes"]
    spec = found("Deployment", "-api", BUCKET)["spec"]["template"]["spec"]
    assert {"name": "data", "emptyDir": {"sizeLimit": "20Gi"}} in spec["volumes"]


def test_a_pool_with_gpus_asks_the_cluster_for_them_and_leaves_larger_jobs_to_others() -> None:
    worker = found("Deployment", "-worker-a100", GPUS)
    assert container(worker)["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert container(worker)["image"] == "stillhouse-worker-gpu:0.1.0"
    told = variables(worker)
    assert told["STILLHOUSE_GPUS"] == "2"
    assert told["STILLHOUSE_QUEUES"] == "a100,default"
    spec = worker["spec"]["template"]["spec"]
    assert spec["nodeSelector"] == {"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-80GB"}
    assert {"mountPath": "/dev/shm", "name": "memory"} in container(worker)["volumeMounts"]  # noqa: S108
    # There may be no second GPU for a worker beside.
    assert worker["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}
    assert (
        "nvidia.com/gpu" not in container(found("Deployment", "-worker-cpu"))["resources"]["limits"]
    )


def test_a_pool_can_be_taken_away() -> None:
    named = {one["metadata"]["name"] for one in documents(INGRESS) if one["kind"] == "Deployment"}
    assert {name for name in named if "worker" in name} == {f"{RELEASE}-stillhouse-worker-only"}


def test_stopped_is_stopped() -> None:
    made = documents(STOPPED)
    assert [one["spec"]["replicas"] for one in made if one["kind"] == "Deployment"] == [0, 0]
    jobs = [one for one in made if one["kind"] == "ScaledJob"]
    assert len(jobs) == 2
    for one in jobs:
        assert one["metadata"]["annotations"] == {"autoscaling.keda.sh/paused": "true"}
    running = [one for one in documents(KEDA) if one["kind"] == "ScaledJob"]
    assert all("annotations" not in one["metadata"] for one in running)


def test_the_dashboard_and_the_rules_are_those_of_the_deploy_folder() -> None:
    board = found("ConfigMap", "-dashboard", EVERYTHING)["data"]["stillhouse.json"]
    assert json.loads(board) == json.loads((DEPLOY / "grafana" / "stillhouse.json").read_text())
    rules = found("PrometheusRule", "distillery", EVERYTHING)["spec"]
    assert rules == yaml.safe_load((DEPLOY / "prometheus" / "alerts.yaml").read_text())


def test_prometheus_finds_the_service_and_shows_a_key() -> None:
    monitor = found("ServiceMonitor", "distillery", EVERYTHING)
    service = found("Service", "-api", EVERYTHING)
    wanted = monitor["spec"]["selector"]["matchLabels"]
    assert wanted.items() <= service["metadata"]["labels"].items()
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["authorization"] == {
        "type": "Bearer",
        "credentials": {"name": "scraper", "key": "api-key"},
    }


def test_the_notes_name_what_is_there() -> None:
    notes = rendered()["NOTES.txt"]
    deployed = {one["metadata"]["name"] for one in documents() if one["kind"] == "Deployment"}
    named = set(re.findall(r"deploy/(\S+)", notes))
    assert named <= deployed
    assert f"--namespace {NAMESPACE}" in notes
    assert f"{RELEASE}-stillhouse-sweeper -- python -m jobs.make_key --house" in notes
    without = rendered(SETS["openshift"])["NOTES.txt"]
    assert f"{RELEASE}-stillhouse-worker-cpu -- python -m jobs.make_key --house" in without
    nobody = rendered({**KEDA, "sweeper": {"replicas": 0}})["NOTES.txt"]
    assert "make_key" not in nobody
    assert "--set sweeper.replicas=1" in nobody


def test_no_secret_is_a_value_anywhere() -> None:
    """Whatever is secret is told by the name of a Secret that is there already."""
    secret = re.compile(r"_URL$|_TOKEN$|ACCESS_KEY|PASSWORD|_AUTH$")
    told: list[dict[str, Any]] = []
    for one in [*TRIAL, *(one for values in SETS.values() for one in documents(values))]:
        assert one["kind"] != "Secret"
        if pod_of(one) is not None:
            told += container(one).get("env", [])
    named = [one for one in told if secret.search(one["name"])]
    assert len({one["name"] for one in named}) == 8
    assert all(set(one["valueFrom"]) == {"secretKeyRef"} for one in named)


@pytest.mark.parametrize(("inside", "outside"), [*COPIES.items()])
def test_files_in_the_chart_are_those_of_the_deploy_folder(inside: Path, outside: Path) -> None:
    assert inside.read_text() == outside.read_text(), "make docs writes them anew"
