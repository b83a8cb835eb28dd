"""Uploads in parts: cut connections cost a part, and what comes together is what was announced."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx
import pytest
from doors import Doors, digest_header
from fastapi.testclient import TestClient
from hostile_files import npz
from proxy import FaultProxy
from serving import running
from sqlalchemy import update

from api.app import create_app
from jobs.clearing import Clearing
from jobs.database import Database
from jobs.input_tables import Upload
from jobs.moments import clock
from jobs.receiving import Announced, Place, Reception
from jobs.settings import Settings

CONTENT = npz(x_train=random.Random(5).randbytes(4000))
PART = 1024
WANTED = {
    "kind": "dataset",
    "name": "train.npz",
    "size_bytes": len(CONTENT),
    "sha256": hashlib.sha256(CONTENT).hexdigest(),
}
PARTS = [CONTENT[first : first + PART] for first in range(0, len(CONTENT), PART)]


def stored(client: Any) -> list[str]:
    """Clear away what is condemned, and return what lies in the store."""
    house = client.app.state.house
    Clearing(house.settings, house.database, house.store).run()
    return [one.location for one in [*house.store.list(), *house.store.unfinished()]]


def begin(client: Any, **changes: Any) -> Any:
    return client.post("/v1/uploads", json=WANTED | changes)


def send(client: Any, path: str, numbers: list[int]) -> None:
    for number in numbers:
        part = PARTS[number - 1]
        sent = client.put(
            f"{path}/parts/{number}",
            content=part,
            headers={"Content-Digest": digest_header(part)},
        )
        assert sent.status_code == 200, sent.text
        assert sent.json()["sha256"] == hashlib.sha256(part).hexdigest()


def test_parts_come_in_any_order_and_go_on_where_they_were(each_store: Any) -> None:
    begun = begin(each_store)
    assert (begun.status_code, begun.json()["parts"]) == (201, len(PARTS))
    path = begun.headers["location"]
    send(each_store, path, [3, 1])
    early = each_store.post(f"{path}/complete")
    assert (early.status_code, early.json()["code"]) == (409, "upload_incomplete")
    assert "lacks part 2" in early.json()["detail"]
    # Whoever comes back knows the file, and asks what is there.
    again = begin(each_store)
    assert (again.status_code, again.headers["location"]) == (200, path)
    assert [part["number"] for part in again.json()["received"]] == [1, 3]
    assert each_store.get(path).json() == again.json() | {
        "expires_at": each_store.get(path).json()["expires_at"]
    }
    assert [one["id"] for one in each_store.get("/v1/uploads").json()["data"]] == [
        begun.json()["id"]
    ]
    send(each_store, path, [2, *range(4, len(PARTS) + 1)])
    done = each_store.post(f"{path}/complete")
    assert done.status_code == 201, done.text
    told = done.json()
    assert (told["sha256"], told["size_bytes"]) == (WANTED["sha256"], len(CONTENT))
    assert each_store.get(f"/v1/datasets/{told['id']}/content").content == CONTENT
    # Asked again, because the answer was lost.
    same = each_store.post(f"{path}/complete")
    assert (same.status_code, same.json()) == (200, told)
    assert each_store.get(path).json()["input_id"] == told["id"]
    assert each_store.get("/v1/uploads").json()["data"] == []
    assert stored(each_store) == [f"{told['id']}/0/train.npz"]


def test_what_was_there_already_is_kept_once(each_store: Any) -> None:
    first = each_store.post("/v1/datasets?name=other.npz", content=CONTENT).json()
    path = begin(each_store).headers["location"]
    send(each_store, path, list(range(1, len(PARTS) + 1)))
    done = each_store.post(f"{path}/complete")
    assert (done.status_code, done.json()["id"]) == (200, first["id"])
    assert stored(each_store) == [f"{first['id']}/0/other.npz"]


@pytest.mark.parametrize(
    ("number", "content", "headers", "code"),
    [
        (1, PARTS[0][:-1], {}, "size_mismatch"),
        (1, PARTS[0] + b"x", {}, "size_mismatch"),
        (len(PARTS), PARTS[0], {}, "size_mismatch"),
        (len(PARTS) + 1, b"x", {}, "no_such_part"),
        (1, PARTS[0], {"Content-Digest": digest_header(b"else")}, "digest_mismatch"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(
    each_store: Any, number: int, content: bytes, headers: dict[str, str], code: str
) -> None:
    path = begin(each_store).headers["location"]
    refused = each_store.put(f"{path}/parts/{number}", content=content, headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    # Of unknown length: it is counted while it comes.
    refused = each_store.put(f"{path}/parts/{number}", content=iter([content]), headers=headers)
    assert (refused.status_code, refused.json()["code"]) == (422, code)
    assert each_store.get(path).json()["received"] == []
    assert stored(each_store) == []


def test_a_part_is_no_form(each_store: Any) -> None:
    path = begin(each_store).headers["location"]
    refused = each_store.put(f"{path}/parts/1", files={"file": ("a.npz", PARTS[0])})
    assert (refused.status_code, refused.json()["code"]) == (415, "unsupported_media_type")


def test_parts_that_are_not_the_file_are_given_up(each_store: Any) -> None:
    path = begin(each_store, sha256="0" * 64).headers["location"]
    send(each_store, path, list(range(1, len(PARTS) + 1)))
    refused = each_store.post(f"{path}/complete")
    assert (refused.status_code, refused.json()["code"]) == (422, "digest_mismatch")
    assert each_store.get(path).status_code == 404
    assert stored(each_store) == []


@pytest.mark.parametrize("how", ["lost", "damaged"])
def test_a_part_that_the_store_has_lost_or_damaged_comes_again(each_store: Any, how: str) -> None:
    path = begin(each_store).headers["location"]
    send(each_store, path, list(range(1, len(PARTS) + 1)))
    upload_id = path.rpartition("/")[2]
    store = each_store.app.state.house.store
    store.delete(f"{upload_id}/2/part")
    if how == "damaged":
        place = Place(upload_id, "part", 2)
        spoiled = Reception(store, place, most_bytes=PART, announced=Announced())
        spoiled.write(PARTS[1][::-1])
        spoiled.finish()
    refused = each_store.post(f"{path}/complete")
    assert (refused.status_code, refused.json()["code"]) == (409, "upload_incomplete")
    assert "has a damaged part 2" in refused.json()["detail"]
    assert 2 not in {part["number"] for part in each_store.get(path).json()["received"]}
    send(each_store, path, [2])
    assert each_store.post(f"{path}/complete").status_code == 201


def test_an_upload_is_given_up_when_told_or_left_alone(each_store: Any) -> None:
    path = begin(each_store).headers["location"]
    send(each_store, path, [1])
    assert each_store.delete(path).status_code == 204
    assert [each_store.get(path).status_code, each_store.delete(path).status_code] == [404, 404]
    late = each_store.put(f"{path}/parts/2", content=PARTS[1])
    assert (late.status_code, late.json()["code"]) == (404, "upload_not_found")
    path = begin(each_store).headers["location"]
    send(each_store, path, [1])
    assert len(stored(each_store)) == 1
    with each_store.app.state.house.database.write() as session:
        session.execute(update(Upload).values(expires_at=clock(-1)))
    assert stored(each_store) == []
    assert each_store.get(path).status_code == 404


def test_nothing_is_taken_beyond_the_limits(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, upload_bytes=6000, stored_bytes=9000, upload_part_bytes=PART)
    with TestClient(create_app(settings), base_url="http://localhost") as client:
        over = b"a,b\n" * 2000
        for body in (over, iter([over])):
            refused = client.post("/v1/datasets?name=a.csv", content=body)
            assert (refused.status_code, refused.json()["code"]) == (413, "upload_too_large")
            assert "STILLHOUSE_UPLOAD_BYTES" in refused.json()["hint"]
        refused = client.post("/v1/datasets", files={"file": ("a.csv", over)})
        assert (refused.status_code, refused.json()["code"]) == (413, "upload_too_large")
        refused = begin(client, size_bytes=8000)
        assert (refused.status_code, refused.json()["code"]) == (413, "upload_too_large")
        assert stored(client) == []
        assert client.post("/v1/datasets?name=a.csv", content=over[:6000]).status_code == 201
        for refused in (
            client.post("/v1/datasets?name=b.csv", content=b"x" + over[1:6000]),
            client.post("/v1/datasets?name=b.csv", content=iter([b"x" + over[1:6000]])),
            begin(client, size_bytes=6000),
        ):
            assert (refused.status_code, refused.json()["code"]) == (413, "stored_bytes_exceeded")
            assert "delete" in refused.json()["hint"]
        assert len(stored(client)) == 1


@pytest.mark.slow
def test_a_cut_connection_costs_nothing_but_a_part(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    with running(settings, STILLHOUSE_UPLOAD_PART_BYTES=str(PART)) as server:
        port = int(server.url.rpartition(":")[2])
        with FaultProxy(("127.0.0.1", port)) as proxy:
            link = f"http://127.0.0.1:{proxy.port}"
            path = httpx.post(f"{link}/v1/uploads", json=WANTED).headers["location"]

            def cut_short() -> Generator[bytes]:
                yield PARTS[1][:500]
                proxy.cut()
                yield PARTS[1][500:]

            with httpx.Client(base_url=link) as client:
                send(client, path, [1])
                length = {"Content-Length": str(PART)}
                with pytest.raises(httpx.TransportError):
                    client.put(f"{path}/parts/2", content=cut_short(), headers=length)
                received = client.get(path).json()["received"]
                assert [part["number"] for part in received] == [1]
                send(client, path, list(range(2, len(PARTS) + 1)))
                assert client.post(f"{path}/complete").status_code == 201
        folder = Path(settings.artifacts)
        assert not [one for one in folder.rglob("*") if one.name.endswith(".tmp")]


def test_what_one_project_uploads_is_none_of_anothers(doors: Doors, database: Database) -> None:
    taken = doors.ask("writer", "post", "/v1/datasets?name=a.npz", content=CONTENT).json()
    upload = doors.ask("writer", "post", "/v1/uploads", json=WANTED).json()
    of_dataset, of_upload = f"/v1/datasets/{taken['id']}", f"/v1/uploads/{upload['id']}"
    asked = [
        ("get", of_dataset),
        ("get", f"{of_dataset}/content"),
        ("delete", of_dataset),
        ("get", of_upload),
        ("put", f"{of_upload}/parts/1"),
        ("post", f"{of_upload}/complete"),
        ("delete", of_upload),
    ]
    for method, path in asked:
        body = {"content": PARTS[0]} if method == "put" else {}
        theirs = doors.ask("vision", method, path, **body)
        none = doors.ask("vision", method, path[:-3] + "000" if path in {of_dataset, of_upload}
                         else path.replace(taken["id"], "ds_" + "0" * 26)
                         .replace(upload["id"], "upl_" + "0" * 26), **body)  # fmt: skip
        assert (theirs.status_code, none.status_code) == (404, 404), (method, path)
        assert theirs.json()["code"] == none.json()["code"]
        assert doors.ask("reader", method, path, **body).status_code == (
            200 if method == "get" else 403
        )
    for path in ("/v1/datasets", "/v1/uploads", f"/v1/datasets?sha256={WANTED['sha256']}"):
        assert doors.ask("vision", "get", path).json()["data"] == []
    spec = {
        "teacher": "plain_cnn",
        "student": "mlp",
        "data": {"name": "arrays", "path": taken["reference"]},
    }
    for path in ("/v1/jobs", "/v1/jobs?dry_run=true", "/v1/jobs/estimate"):
        refused = doors.ask("vision", "post", path, json=spec)
        assert (refused.status_code, refused.json()["code"]) == (422, "dataset_not_found")
        assert refused.json()["errors"][0]["pointer"] == "/data/path"
        assert doors.ask("writer", "post", path, json=spec).is_success
    # The same content again is a file of its own project.
    own = doors.ask("vision", "post", "/v1/datasets?name=a.npz", content=CONTENT)
    assert own.status_code == 201
    assert own.json()["id"] != taken["id"]
    # Neither may somebody else's upload be gone on with.
    assert doors.ask("vision", "post", "/v1/uploads", json=WANTED).json()["id"] != upload["id"]
    said = doors.ask("admin", "get", "/v1/audit").text
    assert taken["id"] in said
