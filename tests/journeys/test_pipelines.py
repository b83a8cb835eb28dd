"""Steps of pipelines, as their hosts run them: real commands against a real house."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hosts import hosts_python
from running import ROOT
from steps import SPEC
from stillhouse import Client

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]  # with the installation

EXAMPLES = ROOT / "examples" / "pipelines"
KUBEFLOW = EXAMPLES / "kubeflow"
ARGO = EXAMPLES / "argo" / "distil.yaml"
TEMPLATES = {one["name"]: one for one in yaml.safe_load(ARGO.read_text())["spec"]["templates"]}


def argo(name: str, folder: Path, **given: str) -> int:
    """Run the script of a template, its outputs in a folder; return its exit code."""
    script = TEMPLATES[name]["script"]
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for one in script["env"]:
        value = one.get("value", "")
        for parameter, filled in given.items():
            value = value.replace(f"{{{{inputs.parameters.{parameter}}}}}", filled)
        assert "{{" not in value
        environment[one["name"]] = value.replace("/tmp/distil", str(folder))  # noqa: S108 - a pod's
    bash = [*script["command"], "-c", script["source"]]
    return subprocess.run(bash, env=environment, check=False, timeout=120).returncode


def outputs(folder: Path) -> dict[str, Path]:
    """Return where the step's outputs are, which Argo takes from there."""
    kept = TEMPLATES["distil"]["outputs"]
    paths = {one["name"]: one["valueFrom"]["path"] for one in kept["parameters"]}
    paths |= {one["name"]: one["path"] for one in kept["artifacts"]}
    return {name: folder / Path(path).relative_to("/tmp/distil") for name, path in paths.items()}  # noqa: S108 - a pod's


def tried_again(code: int) -> bool:
    """Whether Argo tries a step again that ended so."""
    wanted = TEMPLATES["distil"]["retryStrategy"]["expression"]
    last = wanted.replace("lastRetry.exitCode", repr(str(code)))
    return eval(last, {"asInt": int})  # noqa: S307 - our own file's; in Argo's language it means the same


def test_a_step_of_argo_tried_again_follows_its_job_and_hands_on_what_came_out(
    house: Client, tmp_path: Path
) -> None:
    spec = yaml.safe_dump({**SPEC, "gates": ["student.accuracy >= 1"]})
    given = {"spec": spec, "url": house.url, "once": "argo-one", "timeout-seconds": "100"}
    nowhere = argo("distil", tmp_path, **{**given, "url": "http://127.0.0.1:9"})
    assert (nowhere, tried_again(nowhere)) == (69, True)
    ended = argo("distil", tmp_path, **given)
    assert (ended, tried_again(ended), tried_again(2), tried_again(-1)) == (3, False, False, True)
    found = outputs(tmp_path)
    job = house.get(found["job"].read_text())
    assert found["outcome"].read_text() == job["outcome"]
    assert (found["student"] / "student.safetensors").exists()
    assert "The student keeps" in found["report"].read_text()
    assert argo("distil", tmp_path, **given) == ended
    assert found["job"].read_text() == job["id"]


def test_a_workflow_of_argo_that_is_stopped_cancels_its_job(house: Client, tmp_path: Path) -> None:
    spec = {**SPEC, "training": {"max_steps": 1_000_000}}
    job = house.submit(spec, idempotency_key="argo-two")
    given = {"spec": json.dumps(spec), "url": house.url, "once": "argo-two"}
    assert argo("let-go", tmp_path, **given, status="Succeeded") == 0
    assert house.get(job["id"])["cancel_requested"] is None
    assert argo("let-go", tmp_path, **given, status="Failed") == 0
    assert house.wait(job["id"], timeout_seconds=60)["status"] == "cancelled"
    assert argo("let-go", tmp_path, **given, status="Failed") == 0


def test_argo_knows_all_that_its_template_says() -> None:
    """A field that its models do not know is lost on the way."""
    there_and_back = (
        "import json, sys; from hera.workflows.models import WorkflowTemplate as Read; "
        "text = Read.model_validate_json(sys.stdin.read()); "
        "print(text.model_dump_json(by_alias=True, exclude_unset=True))"
    )
    said = yaml.safe_load(ARGO.read_text())
    done = subprocess.run(
        [hosts_python(), "-c", there_and_back],
        input=json.dumps(said),
        text=True,
        capture_output=True,
        check=True,
    )
    assert json.loads(done.stdout) == said


def in_kubeflow(folder: Path, script: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a script in Kubeflow's environment, the client where a pod would have it."""
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT / 'client'}:{KUBEFLOW}",
        "STILLHOUSE_PACKAGE": "",
    }
    return subprocess.run(
        [hosts_python(), script, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def component(
    house: Client, folder: Path, once: str, **changes: Any
) -> subprocess.CompletedProcess[str]:
    """Run the component as a pod would."""
    stage = Path(__file__).with_name("kubeflow_stage.py")
    return in_kubeflow(
        folder,
        stage,
        house.url,
        once,
        yaml.safe_dump({**SPEC, "training": {"max_steps": 20}, **changes}),
    )


def test_a_component_hands_on_student_report_and_outcome_and_follows_its_job(
    house: Client, tmp_path: Path
) -> None:
    done, again = (component(house, tmp_path, "one") for _ in range(2))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    told, once_more = (json.loads(one.stdout.splitlines()[-1]) for one in (done, again))
    job = house.get(told["job"])
    assert told["outcome"] == job["outcome"]
    assert (Path(told["student"]) / "student.safetensors").exists()
    assert "</html>" in Path(told["report"]).read_text()
    assert once_more["job"] == job["id"]


def test_a_component_fails_where_gates_are_not_met(house: Client, tmp_path: Path) -> None:
    done = component(house, tmp_path, "two", gates=["student.accuracy >= 1"])
    assert done.returncode != 0
    assert "gates not met: ['student.accuracy >= 1']. The student keeps" in done.stdout


def test_the_pipeline_compiles_with_its_key_its_secret_and_tries(tmp_path: Path) -> None:
    done = in_kubeflow(tmp_path, KUBEFLOW / "distil_pipeline.py")
    assert done.returncode == 0, done.stderr
    pipeline, platform = yaml.safe_load_all((tmp_path / "distil_pipeline.yaml").read_text())
    task = pipeline["root"]["dag"]["tasks"]["distil"]
    once = task["inputs"]["parameters"]["once"]["runtimeValue"]["constant"]
    assert once == "kubeflow-{{$.pipeline_job_uuid}}"
    assert task["retryPolicy"]["maxRetryCount"] == 3
    executor = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-distil"]
    (secret,) = executor["secretAsEnv"]
    assert secret["keyToEnv"] == [{"envVar": "STILLHOUSE_API_KEY", "secretKey": "api-key"}]
