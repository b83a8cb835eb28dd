"""Fine-tuning jobs through the official openai client: what is asked, and what is told."""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai_clients import DIGITS, arrays, client_of, kd
from serving import SPEC, Server
from stage_worker import StageWorker

FILES = {"config.json": b"{}", "student.safetensors": b"\0" * 64}


@pytest.fixture
def client(server: Server, remote: httpx.Client) -> Generator[OpenAI]:
    """Give an openai client of a real server whose ledger is empty."""
    with client_of(server.url) as (opened, _):
        yield opened


def test_a_job_is_a_job_of_ours(client: OpenAI, remote: httpx.Client) -> None:
    job = client.fine_tuning.jobs.create(
        **{**DIGITS, "method": kd(method="dkd", temperature=2)},
        seed=7,
        suffix="small digits",
        metadata={"team": "a"},
        hyperparameters={"n_epochs": 3, "batch_size": 32, "learning_rate_multiplier": 0.5},
        extra_body={"priority": 70},
    )
    ours = remote.get(f"/v1/jobs/{job.id}").json()
    assert ours["spec"] == {
        "teacher": "plain_cnn",
        "student": "mlp",
        "data": {"name": "digits"},
        "method": "dkd",
        "temperature": 2,
        "priority": 70,
        "name": "small digits",
        "labels": {"team": "a"},
        "seeds": [7],
        "training": {
            "num_train_epochs": 3,
            "per_device_train_batch_size": 32,
            "learning_rate": 0.025,
        },
    }
    assert job.created_at == int(datetime.fromisoformat(ours["created_at"]).timestamp())
    assert (job.object, job.status, job.seed, job.model) == ("fine_tuning.job", "queued", 7, "mlp")
    assert (job.training_file, job.validation_file) == ("digits", None)
    assert (job.organization_id, job.metadata) == ("default", {"team": "a"})
    assert (job.finished_at, job.estimated_finish, job.error) == (None, None, None)
    assert (job.fine_tuned_model, job.result_files, job.trained_tokens) == (None, [], None)
    assert job.hyperparameters.to_dict() == {
        "n_epochs": 3,
        "batch_size": 32,
        "learning_rate_multiplier": 0.5,
    }
    # What was told can be asked for again.
    again = client.fine_tuning.jobs.create(
        model=job.model,
        training_file=job.training_file,
        method=job.method.to_dict(),  # type: ignore[union-attr, arg-type]
    )
    spec = remote.get(f"/v1/jobs/{again.id}").json()["spec"]
    assert spec == {key: ours["spec"][key] for key in spec}
    assert ours["spec"].keys() - spec.keys() == {"name", "labels"}


def test_a_job_is_followed_to_its_end(client: OpenAI, remote_worker: StageWorker) -> None:
    jobs = client.fine_tuning.jobs
    job_id = jobs.create(**DIGITS).id
    remote_worker.begin()
    remote_worker.start()
    remote_worker.train(0, until=0.5)
    running = jobs.retrieve(job_id)
    assert running.status == "running"
    assert running.estimated_finish is not None
    assert abs(running.estimated_finish - running.created_at) < 60
    assert running.progress["stage"] == "teacher"  # type: ignore[attr-defined]
    assert jobs.pause(job_id).status == "running"
    assert jobs.retrieve(job_id).state == "pausing"  # type: ignore[attr-defined]
    assert jobs.resume(job_id).status == "running"
    assert jobs.checkpoints.list(job_id).data == []
    for place in range(4):
        remote_worker.train(place)
    remote_worker.report({"type": "warning", "code": "odd", "message": "Look here"})
    remote_worker.succeed([remote_worker.deliver(*file) for file in FILES.items()])
    job = jobs.retrieve(job_id)
    assert (job.status, job.terminal) == ("succeeded", True)  # type: ignore[attr-defined]
    assert job.verdict["outcome"] == "beats"  # type: ignore[attr-defined]
    assert job.finished_at is not None
    assert job.fine_tuned_model == f"job:{job_id}"
    assert job.result_files == [f"{job_id}.{name}" for name in FILES]
    (checkpoint,) = jobs.checkpoints.list(job_id)
    assert checkpoint.fine_tuned_model_checkpoint == job.fine_tuned_model
    assert (checkpoint.step_number, checkpoint.metrics.step) == (600, 600)
    # What was learned teaches, and is learned further.
    nxt = jobs.create(model=job.fine_tuned_model, training_file="digits", method=kd(teacher=job.id))
    assert nxt.model == job.fine_tuned_model
    assert nxt.method is not None
    teacher = nxt.method.distillation["teacher"]  # type: ignore[attr-defined]
    assert teacher == {"model": {"name": "artifact", "path": f"job:{job_id}"}}


def test_events_are_read_page_by_page_from_the_newest(
    client: OpenAI, remote: httpx.Client, remote_worker: StageWorker
) -> None:
    job_id = client.fine_tuning.jobs.create(**DIGITS).id
    remote_worker.begin()
    remote_worker.start()
    remote_worker.train(0)
    remote_worker.report({"type": "warning", "code": "odd", "message": "Look here"})
    remote_worker.fail("nan_loss", "the loss became NaN", "lower the rate")
    ours = remote.get(f"/v1/jobs/{job_id}/events").json()["data"]
    events = list(client.fine_tuning.jobs.list_events(job_id, limit=2))
    assert [event.id for event in events] == [f"{job_id}.{one['seq']}" for one in reversed(ours)]
    assert [event.data["event"] for event in events] == [one["type"] for one in reversed(ours)]  # type: ignore[index]
    told = {event.data["event"]: event for event in events}  # type: ignore[index]
    assert (told["warning"].level, told["warning"].message) == ("warn", "odd: Look here")
    assert told["job.failed"].level == "error"
    assert (told["stage.finished"].type, told["job.queued"].type) == ("metrics", "message")
    page = client.fine_tuning.jobs.list_events(job_id, after=f"{job_id}.3", limit=5)
    assert [event.id for event in page.data] == [f"{job_id}.2", f"{job_id}.1"]
    assert page.has_more is False
    failed = client.fine_tuning.jobs.retrieve(job_id)
    assert failed.status == "failed"
    assert failed.error is not None
    assert (failed.error.code, failed.error.message) == ("nan_loss", "the loss became NaN")
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.fine_tuning.jobs.list_events(job_id, after="17")
    assert (refused.value.code, refused.value.param) == ("invalid_cursor", "after")


def test_every_job_of_the_project_is_listed_however_it_was_posted(
    client: OpenAI, remote: httpx.Client
) -> None:
    spec = {**SPEC, "labels": {"team": "a"}, "name": "ours", "seeds": [3, 4]}
    ours = remote.post("/v1/jobs", json=spec).json()["id"]
    path = {"name": "image_folder", "path": "photos.zip", "image_size": 32}
    pointed = remote.post("/v1/jobs", json={**SPEC, "student": "resnet8", "data": path}).json()
    theirs = [
        client.fine_tuning.jobs.create(**DIGITS, metadata={"team": "a", "n": str(n)}).id
        for n in range(4)
    ]
    listed = list(client.fine_tuning.jobs.list(limit=2))
    assert [job.id for job in listed] == [*reversed(theirs), pointed["id"], ours]
    assert [job.training_file for job in listed[-2:]] == ["photos.zip", "digits"]
    assert listed[-1].seed == 3

    def found(**metadata: str) -> list[str]:
        return [job.id for job in client.fine_tuning.jobs.list(metadata=metadata, limit=1)]

    assert found(team="a") == [*reversed(theirs), ours]
    assert found(team="a", n="2") == [theirs[2]]
    assert found(team="b") == []
    for wrong in ("metadata", "metadata[a b]", "metadata[a]x", "metadatum[a]"):
        assert remote.get("/v1/fine_tuning/jobs", params={wrong: "x"}).status_code == 422


def test_a_training_file_is_data_of_the_kind_that_its_name_tells(
    client: OpenAI, remote: httpx.Client
) -> None:
    def upload(name: str, content: bytes) -> str:
        return client.files.create(file=(name, content), purpose="fine-tune").id

    def data(file: str, validation: str | None = None, **options: Any) -> Any:
        job = client.fine_tuning.jobs.create(
            model="mlp",
            training_file=file,
            validation_file=validation,
            method=kd(teacher="mlp", data=options),
        )
        assert (job.training_file, job.validation_file) == (file, validation)
        return remote.get(f"/v1/jobs/{job.id}").json()["spec"]["data"]

    npz, csv = upload("d.npz", arrays()), upload("d.csv", b"a,kind\n1,x\n2,y\n")
    held, more = upload("t.csv", b"a,kind\n3,x\n4,y\n"), upload("v.csv", b"a,kind\n5,x\n6,y\n")
    assert data(npz) == {"name": "arrays", "path": f"dataset:{npz}"}
    table = {"name": "table", "path": f"dataset:{csv}", "label": "kind"}
    assert data(csv, label="kind") == table
    table["test_path"] = f"dataset:{held}"
    assert data(csv, held, label="kind") == table
    table["validation_path"] = f"dataset:{more}"
    assert data(csv, more, label="kind", test_path=held) == table
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        data(npz, held)
    assert (refused.value.code, refused.value.param) == ("no_validation_file", "/validation_file")


def test_errors_are_those_that_the_client_knows(client: OpenAI, remote: httpx.Client) -> None:
    missing = "job_" + "0" * 26
    with pytest.raises(openai.NotFoundError) as none:
        client.fine_tuning.jobs.retrieve(missing)
    assert none.value.code == "job_not_found"
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-abc123")
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.fine_tuning.jobs.create(**{**DIGITS, "method": {"type": "supervised"}})  # type: ignore[arg-type]
    assert refused.value.param == "/method/type"
    assert "distillation" in refused.value.body["hint"]  # type: ignore[index]
    job_id = client.fine_tuning.jobs.create(**DIGITS).id
    assert client.fine_tuning.jobs.cancel(job_id).status == "cancelled"
    assert remote.delete(f"/v1/jobs/{job_id}").status_code == 204
    with pytest.raises(openai.NotFoundError) as deleted:
        client.fine_tuning.jobs.retrieve(job_id)
    assert deleted.value.code == "job_deleted"
    with pytest.raises(openai.UnprocessableEntityError):
        client.fine_tuning.jobs.list(limit=0)
