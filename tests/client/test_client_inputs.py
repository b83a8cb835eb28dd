"""`stillhouse datasets` and `models`: files reach the server whole, whatever the network does."""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from proxy import FaultProxy
from stand import Cli, Server, Worker
from stillhouse import ApiError, Client, StillhouseError

from jobs.artifacts import CHUNK_BYTES


def arrays(path: Path, seed: int, size: int = 1000) -> bytes:
    """Write an .npz of random bytes, and return its content."""
    file = io.BytesIO()
    np.savez(file, x_train=np.frombuffer(random.Random(seed).randbytes(size), "uint8"))
    path.write_bytes(file.getvalue())
    return file.getvalue()


def test_a_file_is_uploaded_listed_shown_and_deleted(cli: Cli, tmp_path: Path) -> None:
    content = arrays(tmp_path / "[bold]mine.npz", 1)
    said = cli("datasets", "upload", str(tmp_path / "[bold]mine.npz"), "--name", "mine.npz")
    assert said.code == 0, said.err
    reference = said.out.strip()
    assert reference.startswith("dataset:ds_")
    assert hashlib.sha256(content).hexdigest() in said.err
    listed = cli("datasets", "list", "--json").json
    assert reference in {one["reference"] for one in listed}
    assert "mine.npz" in cli("datasets", "list").out
    shown = cli("datasets", "show", reference)
    assert hashlib.sha256(content).hexdigest() in shown.out
    again = cli("datasets", "upload", str(tmp_path / "[bold]mine.npz"), "--name", "else.npz")
    assert again.out.strip() == reference
    assert cli("datasets", "delete", reference, "--json").json["deleted"] is True
    gone = cli("datasets", "show", reference)
    assert gone.code == 2
    assert "was deleted" in gone.err


def test_a_refusal_says_what_is_wrong(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "weights.pt").write_bytes(b"x")
    said = cli("models", "upload", str(tmp_path / "weights.pt"))
    assert said.code == 2
    assert "safetensors.torch.save_file" in said.err
    (tmp_path / "it.safetensors").write_bytes(b"\x80\x04K\x01.")
    said = cli("models", "upload", str(tmp_path / "it.safetensors"), "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "content_mismatch")
    assert "a Python pickle" in said.json["error"]["detail"]
    assert cli("models", "upload", str(tmp_path / "nope.onnx")).code == 2
    with Client("http://127.0.0.1:9") as nobody, pytest.raises(StillhouseError, match="be read"):
        nobody.models.upload(tmp_path / "nope.onnx")


def test_a_file_that_a_job_needs_stays(client: Client, worker: Worker, tmp_path: Path) -> None:
    arrays(tmp_path / "it.npz", 2)
    kept = client.datasets.upload(tmp_path / "it.npz")
    spec = {
        "teacher": "mlp",
        "student": "mlp",
        "data": {"name": "arrays", "path": kept["reference"]},
    }
    job = client.submit(spec)
    with pytest.raises(ApiError, match=job["id"]) as refused:
        client.datasets.delete(kept["id"])
    assert refused.value.status == 409
    client.cancel(job["id"])
    client.datasets.delete(kept["id"])


@pytest.fixture
def small_parts(tmp_path: Path) -> Iterator[Server]:
    """A server of the test's own that takes parts of a mebibyte."""
    variables = {"STILLHOUSE_UPLOAD_PART_BYTES": str(CHUNK_BYTES)}
    running = Server(tmp_path / "data", variables=variables)
    running.start()
    yield running
    running.stop()


@pytest.mark.slow
def test_cut_connections_and_a_server_that_is_killed_cost_parts_alone(
    small_parts: Server, tmp_path: Path
) -> None:
    content = arrays(tmp_path / "large.npz", 3, 6 * CHUNK_BYTES)
    told: list[int] = []
    with FaultProxy(("127.0.0.1", small_parts.port)) as link:

        def received(here: int, whole: int) -> None:
            assert whole == len(content)
            told.append(here)
            if len(told) in {2, 4}:
                link.cut_after = CHUNK_BYTES // 2  # in the middle of the next part
            if len(told) == 3:
                small_parts.stop()
                small_parts.start()

        with Client(f"http://127.0.0.1:{link.port}", patience_seconds=60) as client:
            kept = client.datasets.upload(tmp_path / "large.npz", received=received)
        assert link.cut_after is None
    assert kept["sha256"] == hashlib.sha256(content).hexdigest()
    assert told == [*range(0, len(content), CHUNK_BYTES), len(content)]


@pytest.mark.slow
def test_another_call_goes_on_where_the_first_one_stopped(
    small_parts: Server, tmp_path: Path
) -> None:
    content = arrays(tmp_path / "large.npz", 4, 5 * CHUNK_BYTES)
    told: list[int] = []

    def interrupted(here: int, _: int) -> None:
        told.append(here)
        if here >= 2 * CHUNK_BYTES:
            raise KeyboardInterrupt

    with Client(small_parts.url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.datasets.upload(tmp_path / "large.npz", received=interrupted)
        client.datasets.upload(tmp_path / "large.npz", received=lambda here, _: told.append(here))
        assert told == [
            *range(0, 3 * CHUNK_BYTES, CHUNK_BYTES),
            *range(2 * CHUNK_BYTES, len(content), CHUNK_BYTES),
            len(content),
        ]
        client.datasets.upload(tmp_path / "large.npz", received=_sent_again)


def _sent_again(here: int, whole: int) -> None:
    pytest.fail(f"{here} of {whole} bytes were sent again")
