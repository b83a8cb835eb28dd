"""A component and a pipeline for Kubeflow Pipelines: distil, and fail where gates are not met.

python distil_pipeline.py       writes distil_pipeline.yaml, to be uploaded

STILLHOUSE_PACKAGE is the client, as a pod's pip installs it: the URL of a wheel, or a name that an
index of yours has; empty where STILLHOUSE_IMAGE, the pod's image, has it already.
"""  # noqa: INP001 - a script, not a package

# No `from __future__ import annotations` here: Kubeflow reads annotations as they are.

import os
import sys
from pathlib import Path
from typing import NamedTuple

from kfp import compiler, dsl, kubernetes

IMAGE = os.environ.get("STILLHOUSE_IMAGE", "python:3.12-slim")
PACKAGES = os.environ.get("STILLHOUSE_PACKAGE", "").split()
if "STILLHOUSE_PACKAGE" not in os.environ and "STILLHOUSE_IMAGE" not in os.environ:
    sys.exit("found no STILLHOUSE_PACKAGE; expected the URL of the client's wheel, or its name")


@dsl.component(base_image=IMAGE, packages_to_install=PACKAGES)
def distil(  # noqa: PLR0913, PLR0917 - Kubeflow passes by name
    spec: str,
    url: str,
    once: str,
    student: dsl.Output[dsl.Model],
    report: dsl.Output[dsl.HTML],
    timeout_seconds: float = 21600,
) -> NamedTuple("Ended", [("job", str), ("outcome", str)]):
    """Submit a spec, wait for the verdict, and bring the student.

    Tried again with the same `once` it follows its job. Its source alone is what a pod has, so
    all that it needs is imported here.

    Args:
        spec: the spec's text, YAML or JSON; a `dict` would lose its whole numbers on the way.
        url: address of the server; the key comes as STILLHOUSE_API_KEY.
        once: what makes a job one; the same for every try.
        student: the folder of the student's files.
        report: the report, for a browser.
        timeout_seconds: how long to wait, pauses not counted.

    Raises:
        RuntimeError: the job did not succeed, or gates are not met.
    """
    import time
    from pathlib import Path

    from stillhouse import Client, exits
    from stillhouse.spec import parse

    with Client(url, patience_seconds=600) as client:
        job_id = client.submit(parse(spec, "spec"), idempotency_key=once)["id"]
        print(f"{client.url}/jobs/{job_id}")  # noqa: T201 - the pod's log
        while not (job := client.wait(job_id, timeout_seconds=timeout_seconds))["terminal"]:
            time.sleep(20)  # paused: waits until it is resumed
        verdict = job["verdict"]
        if exits.of_job(job) != exits.SUCCEEDED or not verdict:
            said = verdict["sentence"] if verdict else (job["failure"] or {}).get("message", "")
            missed = (
                [one["gate"] for one in verdict["gates"] if not one["passed"]] if verdict else []
            )
            raise RuntimeError(
                f"{job_id} {job['status']}; gates not met: {missed or 'none'}. {said}"
            )
        Path(report.path).write_text(client.report_page(job_id), encoding="utf-8")
        client.download(job_id, student.path)
        student.metadata.update(job=job_id, outcome=verdict["outcome"], verdict=verdict["sentence"])
        return job_id, verdict["outcome"]


@dsl.pipeline(name="distil")
def pipeline(spec: str, url: str) -> None:
    """Distil once in a run; the API key is in the secret `stillhouse`."""
    task = distil(spec=spec, url=url, once=f"kubeflow-{dsl.PIPELINE_JOB_ID_PLACEHOLDER}")
    # A verdict stays what it is: then each try ends at once, since it follows the same job.
    task.set_retry(num_retries=3, backoff_duration="60s")
    kubernetes.use_secret_as_env(
        task,
        secret_name="stillhouse",  # noqa: S106 - a name
        secret_key_to_env={"api-key": "STILLHOUSE_API_KEY"},
    )


if __name__ == "__main__":
    compiler.Compiler().compile(pipeline, str(Path(sys.argv[0]).with_suffix(".yaml").name))
