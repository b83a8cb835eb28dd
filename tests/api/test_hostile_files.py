"""A hostile file is refused with clear words, whichever way it comes, and leaves nothing behind."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from doors import digest_header
from fastapi.testclient import TestClient
from hostile_files import (
    GOOD_NPZ,
    GOOD_ONNX,
    GOOD_TENSORS,
    GOOD_TOKENIZER,
    HOSTILE,
    OBJECTS,
    npz,
    tokenizer,
)
from hostile_zips import ONE
from zips import plain

from jobs.clearing import Clearing


def left(client: Any) -> list[str]:
    """Return all that lies in the store, whole or not, and all that the API tells of."""
    store = client.app.state.house.store
    stored = [one.location for one in [*store.list(), *store.unfinished()]]
    told = [
        one["id"]
        for path in ("datasets", "models", "uploads")
        for one in client.get(f"/v1/{path}").json()["data"]
    ]
    return stored + told


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_file_is_refused_and_leaves_nothing(lasting_client: Any, case: str) -> None:
    path, name, content, words = HOSTILE[case]
    refused = lasting_client.post(f"/v1/{path}?name={name}", content=content)
    body = refused.json()
    assert refused.status_code == 422, body
    assert body["code"] in {"content_mismatch", "content_refused"}
    assert words in body["detail"]
    assert body["hint"]
    assert re.search(r"^found|: ", body["detail"])
    assert str(lasting_client.app.state.house.settings.data) not in refused.text
    assert left(lasting_client) == []


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [
        ("models", "a.pt", "safetensors.torch.save_file"),
        ("models", "a.bin", "safetensors.torch.save_file"),
        ("models", "a.pkl", "pickles can run code"),
        ("models", "a.npz", "expected one that ends in .safetensors, .onnx, .zip"),
        ("datasets", "a.tar", "archives are taken as .zip only"),
        ("datasets", "a.tar.gz", "archives are taken as .zip only"),
        ("models", "tokenizer.json", "expected one that ends in .safetensors, .onnx"),
        ("datasets", "a.onnx", "expected one that ends in .npz"),
        ("datasets", "npz", "expected one that ends in .npz"),
    ],
)
def test_a_name_of_another_format_is_refused_before_anything_is_read(
    lasting_client: TestClient, path: str, name: str, words: str
) -> None:
    refused = lasting_client.post(f"/v1/{path}?name={name}", content=b"x" * 99)
    assert (refused.status_code, refused.json()["code"]) == (415, "format_not_taken")
    assert words in refused.text
    wanted = {"kind": path[:-1], "name": name, "size_bytes": 99}
    begun = lasting_client.post("/v1/uploads", json=wanted)
    assert (begun.status_code, begun.json()["code"]) == (415, "format_not_taken")
    assert left(lasting_client) == []


@pytest.mark.parametrize(
    "name", ["../a.npz", "a/b.npz", ".npz", "a b.npz", "n\u00e4.npz", "x" * 128 + ".npz", "a\n.npz"]
)
def test_a_name_that_is_no_plain_name_is_refused(lasting_client: TestClient, name: str) -> None:
    refused = lasting_client.post("/v1/datasets", params={"name": name}, content=GOOD_NPZ)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_name")
    wanted = {"kind": "dataset", "name": name, "size_bytes": 99}
    assert lasting_client.post("/v1/uploads", json=wanted).status_code == 422
    assert left(lasting_client) == []


@pytest.mark.parametrize(
    ("path", "name", "content"),
    [
        ("datasets", "a.npz", GOOD_NPZ),
        ("datasets", "zero.npz", npz(x=np.zeros(()), y=np.zeros((0, 3)))),
        ("datasets", "labels.npz", npz(y=np.zeros(2**20, "int64"))),
        ("datasets", "a.safetensors", GOOD_TENSORS),
        ("datasets", "a.zip", plain(ONE)),
        ("datasets", "a.csv", "Größe,b\n1,2\n".encode()),
        ("datasets", "a.jsonl", b'{"a": 1}\n'),
        ("datasets", "a.json", GOOD_TOKENIZER),
        ("datasets", "pairs.json", tokenizer({"type": "Unigram", "vocab": [["a", -0.5]]})),
        ("datasets", "a.parquet", b"PAR1" + bytes(20) + b"\x05\0\0\0PAR1"),
        ("models", "a.safetensors", GOOD_TENSORS),
        ("models", "a.onnx", GOOD_ONNX),
        ("models", "a.zip", plain(("vit/config.json", b"{}"), ("vit/a.safetensors", b"x"))),
        ("models", "a.zip", plain(("config.json", b"{}"), ("model.safetensors", b"x"))),
    ],
)
def test_a_good_file_is_taken(lasting_client: Any, path: str, name: str, content: bytes) -> None:
    taken = lasting_client.post(f"/v1/{path}?name={name}", content=content)
    assert taken.status_code == 201, taken.text
    assert lasting_client.delete(taken.headers["location"]).status_code == 204
    lasting_client.app.state.house.store.delete(f"{taken.json()['id']}/0/{name}")


@pytest.mark.parametrize(
    "case",
    [
        "dataset: arrays cut short",
        "archive: up",
        "model: a header of lists",
        "model: a model and more",
    ],
)
def test_it_is_refused_in_parts_and_in_every_store(each_store: Any, case: str) -> None:
    path, name, content, words = HOSTILE[case]
    refused = each_store.post(f"/v1/{path}?name={name}", content=content)
    assert (refused.status_code, left(each_store)) == (422, [])
    wanted = {"kind": path[:-1], "name": name, "size_bytes": len(content)}
    upload = each_store.post("/v1/uploads", json=wanted).headers["location"]
    for number, first in enumerate(range(0, len(content), 1024), start=1):
        part = content[first : first + 1024]
        assert each_store.put(f"{upload}/parts/{number}", content=part).status_code == 200
    refused = each_store.post(f"{upload}/complete")
    assert refused.status_code == 422
    assert words in refused.json()["detail"]
    assert each_store.get(upload).status_code == 404
    clear(each_store)
    assert left(each_store) == []


def clear(client: Any) -> None:
    """Clear away what a transaction condemned, as workers do again and again."""
    house = client.app.state.house
    Clearing(house.settings, house.database, house.store).files()


def test_other_content_than_was_announced_leaves_nothing(each_store: Any) -> None:
    for headers in (
        {"Repr-Digest": digest_header(b"another")},
        {"Content-Digest": "sha-256=:nope:"},
        {"Repr-Digest": digest_header(b"a"), "Content-Digest": digest_header(b"b")},
        {"Content-Encoding": "gzip"},
    ):
        refused = each_store.post("/v1/datasets?name=a.npz", content=GOOD_NPZ, headers=headers)
        assert refused.status_code in {415, 422}, refused.text
        assert left(each_store) == []


def form(*parts: tuple[str, bytes], end: bytes = b"--\r\n") -> dict[str, Any]:
    """Return a form, as a request has it: what each part says of itself, and its content."""
    body = b"".join(
        b"--cut\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (said.encode(), content)
        for said, content in parts
    )
    headers = {"Content-Type": "multipart/form-data; boundary=cut"}
    return {"content": body + b"--cut" + end, "headers": headers}


A_FILE = ('name="file"; filename="a.npz"', GOOD_NPZ)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (form(("name=token", b"x"), A_FILE), "found the field 'token'"),
        (form(A_FILE, A_FILE), "found a second file"),
        (form(A_FILE, end=b""), "without its last boundary"),
        (form(), "without a file"),
        (form(('name="file"; filename="../../a.npz"', GOOD_NPZ)), "found the name '../../a.npz'"),
        (form(('name="file"; filename="a.npz"', OBJECTS)), "holds Python objects"),
        (form(('name="file"; filename="a.npz"\r\n' + "X: y\r\n" * 99, b"")), "cannot be read"),
        (form(('filename="a.npz"' + "x" * 9999, b"")), "cannot be read"),
        ({"content": b"PK", "headers": {"Content-Type": "multipart/form-data"}}, "no boundary"),
        (form(A_FILE) | {"headers": {"Content-Type": "multipart/form-data; boundary=x"}}, "form"),
    ],
)
def test_a_form_that_is_not_one_file_is_refused(
    lasting_client: TestClient, sent: dict[str, Any], words: str
) -> None:
    refused = lasting_client.post("/v1/datasets", **sent)
    assert refused.status_code == 422, refused.text
    assert words in refused.json()["detail"]
    assert left(lasting_client) == []


def test_an_absurd_announcement_of_an_upload_is_refused(each_store: Any) -> None:
    good = {"kind": "dataset", "name": "a.npz", "size_bytes": 10, "sha256": "0" * 64}
    for change, pointer in (
        ({"size_bytes": 0}, "/size_bytes"),
        ({"size_bytes": -1}, "/size_bytes"),
        ({"size_bytes": 1.5}, "/size_bytes"),
        ({"sha256": "0" * 63}, "/sha256"),
        ({"kind": "pickle"}, "/kind"),
        ({"more": 1}, "/more"),
    ):
        refused = each_store.post("/v1/uploads", json=good | change)
        assert refused.status_code == 422, refused.text
        assert pointer in {error["pointer"] for error in refused.json()["errors"]}
    for size_bytes in (2**40, 2**200):
        large = each_store.post("/v1/uploads", json=good | {"size_bytes": size_bytes})
        assert large.status_code in {413, 422}
    assert left(each_store) == []
