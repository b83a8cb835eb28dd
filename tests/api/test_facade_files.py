"""Files through the official openai client: uploads of ours, and what jobs delivered."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from typing import Any

import httpx
import openai
import pytest
from doors import Doors
from fastapi.testclient import TestClient
from openai import OpenAI
from openai_clients import DIGITS, arrays, client_of, kd
from serving import Server
from stage_worker import StageWorker

CSV = b"a,kind\n1,x\n2,y\n"


@pytest.fixture
def opened(server: Server, remote: httpx.Client) -> Generator[tuple[OpenAI, list[Any]]]:
    """Give an openai client of a real server whose ledger is empty, and what it sends."""
    with client_of(server.url) as pair:
        yield pair


def test_an_upload_is_a_data_set_of_ours(
    opened: tuple[OpenAI, list[Any]], remote: httpx.Client
) -> None:
    client, sent = opened
    content = arrays()
    file = client.files.create(file=("d.npz", content), purpose="fine-tune")
    ours = remote.get(f"/v1/datasets/{file.id}").json()
    assert (file.filename, file.bytes, file.purpose) == ("d.npz", len(content), "fine-tune")
    assert (file.object, file.status) == ("file", "processed")
    assert file.sha256 == ours["sha256"] == hashlib.sha256(content).hexdigest()  # type: ignore[attr-defined]
    assert client.files.content(file.id).read() == content
    assert client.files.wait_for_processing(file.id) == file
    # The same content is stored once, however often it comes.
    assert client.files.create(file=("e.npz", content), purpose="fine-tune").id == file.id
    job = client.fine_tuning.jobs.create(**{**DIGITS, "training_file": file.id, "method": kd()})
    del sent[:]
    with pytest.raises(openai.ConflictError) as needed:
        client.files.delete(file.id)
    assert (needed.value.code, len(sent)) == ("input_in_use", 1)
    client.fine_tuning.jobs.cancel(job.id)
    assert client.files.delete(file.id).deleted is True
    with pytest.raises(openai.NotFoundError) as gone:
        client.files.retrieve(file.id)
    assert gone.value.code == "dataset_deleted"
    assert client.files.list().data == []


def test_what_a_job_delivered_is_a_file(
    opened: tuple[OpenAI, list[Any]], remote_worker: StageWorker
) -> None:
    client, sent = opened
    files = {"student.safetensors": bytes(range(64)), "report.md": b"# Report\n"}
    job_id = client.fine_tuning.jobs.create(**DIGITS).id
    remote_worker.play(files)
    job = client.fine_tuning.jobs.retrieve(job_id)
    told = [client.files.retrieve(file_id) for file_id in job.result_files]
    assert {one.filename: client.files.content(one.id).read() for one in told} == files
    assert {one.purpose for one in told} == {"fine-tune-results"}
    for one in told:
        assert one.sha256 == hashlib.sha256(files[one.filename]).hexdigest()  # type: ignore[attr-defined]
    del sent[:]
    with pytest.raises(openai.ConflictError) as kept:
        client.files.delete(job.result_files[0])
    assert (kept.value.code, len(sent)) == ("file_of_a_job", 1)
    with pytest.raises(openai.UnprocessableEntityError) as listed:
        client.files.list(purpose="fine-tune-results")
    assert "result_files" in listed.value.body["hint"]  # type: ignore[index]
    for missing in (
        f"{job_id}.student.onnx",
        f"{job_id}.",
        f"{job_id}.a%00",
        "file-1",
        f"x{job_id}",
    ):
        with pytest.raises(openai.NotFoundError):
            client.files.content(missing)


def test_uploads_are_listed_by_page_purpose_and_order(opened: tuple[OpenAI, list[Any]]) -> None:
    client, _ = opened
    purposes: list[Any] = ["fine-tune", "user_data", "fine-tune", "user_data", "fine-tune"]
    header = b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    weights = len(header).to_bytes(8, "little") + header
    made = [
        client.files.create(
            file=(f"{n}.safetensors", weights + n.to_bytes(4, "little")), purpose=purpose
        ).id
        for n, purpose in enumerate(purposes)
    ]
    assert [one.partition("_")[0] for one in made] == ["ds", "mdl", "ds", "mdl", "ds"]
    assert [file.id for file in client.files.list(limit=2)] == made[::-1]
    assert [file.id for file in client.files.list(limit=2, order="asc")] == made
    assert [file.id for file in client.files.list(limit=1, purpose="user_data")] == made[3::-2]
    assert client.files.list(purpose="assistants").data == []
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        client.files.list(after="file-1")
    assert refused.value.param == "after"


def test_what_is_no_file_for_us_is_refused(opened: tuple[OpenAI, list[Any]]) -> None:
    client, _ = opened

    def refusal(name: str, content: bytes, purpose: Any = "fine-tune", **more: Any) -> Any:
        with pytest.raises(openai.APIStatusError) as refused:
            client.files.create(file=(name, content), purpose=purpose, **more)
        assert client.files.list().data == []
        return refused.value.status_code, refused.value.code

    assert refusal("a.csv", CSV, "assistants") == (422, "purpose_refused")
    assert refusal("a b.csv", CSV) == (422, "invalid_name")
    assert refusal("a.pt", b"\x80\x02") == (415, "format_not_taken")
    assert refusal("a.npz", b"\x80\x02}q\x00.") == (422, "content_mismatch")
    assert refusal("a.csv", CSV, "user_data") == (415, "format_not_taken")
    expiring = {"anchor": "created_at", "seconds": 3600}
    assert refusal("a.csv", CSV, expires_after=expiring) == (422, "form_refused")


def form(*parts: tuple[str, str | None, bytes]) -> dict[str, Any]:
    """Return a form whose parts stand in this order, as other clients send them."""
    body = b""
    for name, file, content in parts:
        where = f'; filename="{file}"' if file else ""
        head = f'--x\r\nContent-Disposition: form-data; name="{name}"{where}\r\n\r\n'
        body += head.encode() + content + b"\r\n"
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    return {"content": body + b"--x--\r\n", "headers": headers}


FILE = ("file", "a.csv", CSV)
PURPOSE = ("purpose", None, b"fine-tune")


def test_a_purpose_may_come_behind_the_file_if_it_is_the_usual_one(client: TestClient) -> None:
    for parts in ((FILE, PURPOSE), (PURPOSE, FILE)):
        answer = client.post("/v1/files", **form(*parts))
        assert (answer.status_code, answer.json()["bytes"]) == (200, len(CSV)), answer.text
    assert len(client.get("/v1/files").json()["data"]) == 1


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ((FILE,), "purpose_refused"),
        ((PURPOSE,), "form_refused"),
        ((FILE, ("purpose", None, b"user_data")), "purpose_refused"),
        ((PURPOSE, PURPOSE, FILE), "form_refused"),
        ((PURPOSE, FILE, FILE), "form_refused"),
        ((PURPOSE, FILE, ("more", None, b"x")), "form_refused"),
        ((("purpose", None, b"\xff" * 9), FILE), "purpose_refused"),
        ((("purpose", None, b"x" * 5000), FILE), "form_refused"),
        ((PURPOSE, ("file", "../a.csv", CSV)), "invalid_name"),
    ],
)
def test_a_form_of_another_shape_is_refused_and_leaves_nothing(
    client: TestClient, parts: Any, code: str
) -> None:
    answer = client.post("/v1/files", **form(*parts))
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert client.get("/v1/files").json()["data"] == []


def test_another_projects_files_are_nobodys(doors: Doors, worker: StageWorker) -> None:
    file = doors.ask("writer", "post", "/v1/files", **form(PURPOSE, FILE)).json()
    job = doors.ask("writer", "post", "/v1/fine_tuning/jobs", json=DIGITS).json()
    worker.play({"report.md": b"# Report\n"})
    for file_id in (file["id"], f"{job['id']}.report.md"):
        path = f"/v1/files/{file_id}"
        for method, end in (("get", ""), ("get", "/content"), ("delete", "")):
            assert doors.ask("vision", method, path + end).status_code == 404
        assert doors.ask("reader", "get", f"{path}/content").is_success
        assert doors.ask("reader", "delete", path).status_code == 403
    assert doors.ask("vision", "get", "/v1/files").json()["data"] == []
    assert doors.ask("vision", "get", "/v1/fine_tuning/jobs").json()["data"] == []
    taken = {**DIGITS, "training_file": file["id"]}
    refused = doors.ask("vision", "post", "/v1/fine_tuning/jobs", json=taken)
    assert (refused.status_code, refused.json()["code"]) == (422, "file_not_found")
