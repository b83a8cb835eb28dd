"""Where a job stands: why it waits, and where in MLflow it is."""

from __future__ import annotations

import pytest
from stand import SPEC, Cli
from stillhouse import ApiError, Client


def test_why_a_job_waits_is_told_to_programs_and_to_people(client: Client, cli: Cli) -> None:
    job = client.submit(SPEC)["id"]
    waiting = client.waiting(job)
    assert (waiting["job"], waiting["object"]) == (job, "waiting")
    assert waiting["reason"] is not None
    assert waiting["told"] in " ".join(cli("show", job).err.split())
    client.cancel(job)
    ended = client.waiting(job)
    assert (ended["reason"], ended["ahead"]) == (None, 0)
    assert "cancelled" in ended["told"]


def test_a_job_that_no_mlflow_knows_is_told_as_one(client: Client) -> None:
    job = client.submit(SPEC)["id"]
    with pytest.raises(ApiError) as caught:
        client.mlflow_run(job)
    assert (caught.value.status, caught.value.code) == (404, "mlflow_run_not_found")
