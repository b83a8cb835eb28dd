"""Files arrive whole or not at all, whatever the network does."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest
from bad_network import BadNetwork
from stand import SPEC, Server, Worker
from stillhouse import Client, DigestMismatch, SpecError, StillhouseError
from stillhouse.bodies import Artifact
from stillhouse.download import Fetch
from stillhouse.transport import Transport

BIG = random.Random(7).randbytes(400_000)
FILES = {"student.safetensors": BIG, "report.md": b"# Report\n", "empty.json": b""}


@pytest.fixture(scope="module")
def job_id(server: Server, worker: Worker, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A finished job with files."""
    folder = tmp_path_factory.mktemp("delivered")
    with Client(server.url) as client:
        identity = client.submit(SPEC)["id"]
    claim = worker.take(identity)
    for name, content in FILES.items():
        worker.deliver(claim, folder, name, content)
    worker.succeed(claim)
    return identity


def _contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_all_files_come_under_their_names_and_nothing_else(
    client: Client, job_id: str, tmp_path: Path
) -> None:
    paths = client.download(job_id, tmp_path / "out")
    assert _contents(tmp_path / "out") == FILES
    assert sorted(path.name for path in paths) == sorted(FILES)
    listed = dict(line.split("  ")[::-1] for line in client.checksums(job_id).splitlines())
    assert listed == {name: hashlib.sha256(data).hexdigest() for name, data in FILES.items()}


def test_a_download_that_is_cut_again_and_again_arrives_whole(
    bad_network: BadNetwork, job_id: str, tmp_path: Path
) -> None:
    bad_network.cut_after = 90_000
    heights = list[int]()
    with Client(bad_network.url, patience_seconds=10) as client:
        client.download(
            job_id,
            tmp_path,
            names=["student.safetensors"],
            received=lambda here, _whole: heights.append(here),
        )
    assert _contents(tmp_path) == {"student.safetensors": BIG}
    assert bad_network.connections >= 5
    # It went on where it had stopped: no byte came twice.
    assert heights == sorted(heights)


def test_what_an_earlier_try_left_is_gone_on_with(
    bad_network: BadNetwork, job_id: str, tmp_path: Path
) -> None:
    digest = hashlib.sha256(BIG).hexdigest()
    (tmp_path / f"student.safetensors.{digest[:12]}.part").write_bytes(BIG[:300_000])
    heights = list[int]()
    with Client(bad_network.url) as client:
        client.download(
            job_id,
            tmp_path,
            names=["student.safetensors"],
            received=lambda at, _: heights.append(at),
        )
    assert min(heights) > 300_000
    assert _contents(tmp_path) == {"student.safetensors": BIG}


@pytest.mark.parametrize("left", [b"x" * 1000, b"x" * len(BIG), b"x" * (len(BIG) + 5)])
def test_a_part_that_is_wrong_is_thrown_away(
    client: Client, job_id: str, tmp_path: Path, left: bytes
) -> None:
    digest = hashlib.sha256(BIG).hexdigest()
    (tmp_path / f"student.safetensors.{digest[:12]}.part").write_bytes(left)
    client.download(job_id, tmp_path, names=["student.safetensors"])
    assert _contents(tmp_path) == {"student.safetensors": BIG}


def test_a_file_that_is_there_and_right_is_not_fetched(
    client: Client, job_id: str, tmp_path: Path
) -> None:
    client.download(job_id, tmp_path)
    before = (tmp_path / "student.safetensors").stat().st_mtime_ns
    (tmp_path / "report.md").write_bytes(b"changed by hand")
    client.download(job_id, tmp_path)
    assert (tmp_path / "student.safetensors").stat().st_mtime_ns == before
    assert _contents(tmp_path) == FILES


def test_flipped_bits_are_noticed_and_nothing_is_kept(
    bad_network: BadNetwork, server: Server, job_id: str, tmp_path: Path
) -> None:
    with Client(server.url) as direct:
        listed = {artifact["name"]: artifact for artifact in direct.artifacts(job_id)}
    bad_network.flip_at = 200_000
    with Client(bad_network.url) as client, pytest.raises(DigestMismatch) as caught:
        client.download(job_id, tmp_path, names=["student.safetensors"])
    assert caught.value.expected == listed["student.safetensors"]["sha256"]
    assert _contents(tmp_path) == {}


def test_a_name_that_the_job_does_not_have_is_told_with_those_it_has(
    client: Client, job_id: str, tmp_path: Path
) -> None:
    with pytest.raises(SpecError, match=r"no file student\.onnx; it has: .*student\.safetensors"):
        client.download(job_id, tmp_path, names=["student.onnx"])


@pytest.mark.parametrize("name", ["../evil", "/etc/passwd", ".hidden", "a/b", "", "a\x00b"])
def test_a_name_that_leaves_the_folder_is_refused(
    client: Client, tmp_path: Path, name: str
) -> None:
    artifact = Artifact(
        name=name,
        kind="report",
        size_bytes=1,
        sha256="0" * 64,
        media_type="text/plain",
        created_at="",
        url="",
    )
    transport: Transport = client._transport  # pyright: ignore[reportPrivateUsage]
    with pytest.raises(StillhouseError, match="no plain name"):
        Fetch(transport, "/v1/jobs/x/artifacts/y", artifact, tmp_path / "out").run()
    assert not (tmp_path / "out").exists()
