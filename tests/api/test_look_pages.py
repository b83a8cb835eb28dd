"""The pages of one dataset and one model: what a worker has found, or why there is nothing yet."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from doors import Doors
from fastapi.testclient import TestClient
from safetensors.numpy import save
from test_pages import EVIL, HTML, read

from jobs.database import Database
from jobs.repository import Repository
from kdcore.data_report import (
    ClassTold,
    ColumnTold,
    DataReport,
    Duplicates,
    Faults,
    FaultTold,
    Note,
    PartTold,
)
from kdcore.inspected import LayerTold, ModelLayers

_BINARY = {"Content-Type": "application/octet-stream"}
PIXEL = "data:image/png;base64,AAAA"


def upload(client: TestClient, kind: str, name: str, content: bytes) -> str:
    answer = client.post(f"/v1/{kind}s?name={name}", content=content, headers=_BINARY)
    assert answer.is_success, answer.text
    input_id: str = answer.json()["id"]
    return input_id


def answer_next(database: Database, **told: Any) -> dict[str, Any]:
    """Answer the question that waits; return it."""
    with database.write() as session:
        ledger = Repository(session)
        claimed = ledger.claim_inspection(60)
        assert claimed is not None
        ledger.answer_inspection(claimed.id, claimed.attempt, **told)
    return claimed.asked


def reported(**more: Any) -> dict[str, Any]:
    duplicates = Duplicates(within={}, across={}, conflicting=0, groups=0, shown=[])
    column = {"missing": 0, "distinct": 2}
    told: dict[str, Any] = {
        "data": "table",
        "kind": "rows",
        "fingerprint": "f" * 64,
        "parts": {"train": PartTold(samples=1234, labelled=1234, unlabelled=0)},
        "num_classes": 1,
        "classes": [ClassTold(label=0, name=EVIL, counts={"train": 1234}, thumbnails=[PIXEL])],
        "imbalance": 1.0,
        "duplicates": duplicates,
        "faults": Faults(count=1, shown=[FaultTold(name="own.csv, line 3", reason=EVIL)]),
        "sizes": None,
        "columns": [ColumnTold(name=name, kind="text", **column) for name in ("age", EVIL)],
        "notes": [Note(code="a", message=EVIL, hint="mend it")],
    }
    return DataReport.model_validate(told | more).model_dump(mode="json")


def test_a_table_is_looked_at_and_its_label_is_asked_for(
    client: TestClient, database: Database
) -> None:
    table = upload(client, "dataset", "own.csv", b"age,kind\n1,a\n")
    path = f"/datasets/{table}"
    text, reader = read(client, path)
    assert "It waits for a worker" in text
    assert "No worker is running" in text
    assert ("body", "data-poll", "2000") in reader.attributes
    assert "table" in answer_next(database, result=reported())
    text, reader = read(client, path)
    assert ("option", "value", "age") in reader.attributes
    for told in ("1,234", "own.csv, line 3", "mend it", "Worth knowing", "The report as JSON"):
        assert told in text
    assert ("img", "src", PIXEL) in reader.attributes
    assert "<script>alert" not in text
    assert "data-poll" not in {name for _, name, _ in reader.attributes}

    assert "It waits for a worker" in read(client, f"{path}?label=kind&task=regression")[0]
    asked = answer_next(database, failure={"code": "data_invalid", "message": EVIL, "hint": "look"})
    assert (asked["data"]["label"], asked["task"]["name"]) == ("kind", "regression")
    text, _ = read(client, f"{path}?label=kind&task=regression")
    assert "data_invalid" in text
    assert "<script>alert" not in text
    again = client.post(f"{path}?label=kind&task=regression", follow_redirects=False)
    assert again.status_code == 303
    assert "It waits for a worker" in read(client, again.headers["location"])[0]


def test_images_may_be_looked_at_in_another_size(client: TestClient, database: Database) -> None:
    content = io.BytesIO()
    np.savez(content, x=np.zeros(1))
    zipped = upload(client, "dataset", "a.zip", content.getvalue())
    _, reader = read(client, f"/datasets/{zipped}")
    assert ("input", "value", "64") in reader.attributes
    assert answer_next(database, result=reported())["data"]["image_size"] == 64
    read(client, f"/datasets/{zipped}?image_size=32")
    assert answer_next(database, result=reported())["data"]["image_size"] == 32
    wrong = client.get(f"/datasets/{zipped}?image_size=9999", headers=HTML)
    assert (wrong.status_code, "/data/image_size" in wrong.text) == (422, True)


def test_a_model_shows_its_layers(client: TestClient, database: Database) -> None:
    path = f"/models/{upload(client, 'model', 'w.safetensors', save({'a': np.zeros(3)}))}"
    assert "It waits for a worker" in read(client, path)[0]
    layers = [LayerTold(path=EVIL, shape=[4, 3], parameters=1200, role="map")]
    for of, title in (("layers", "Layers"), ("tensors", "Tensors")):
        found = ModelLayers(
            format="onnx", of=of, input_shape=[1, 8, 8], parameters=1200, layers=layers
        )
        answer_next(database, result=found.model_dump(mode="json"))
        text, _ = read(client, path)
        assert f">{title}</h2>" in text
        assert "4 x 3" in text
        assert "1,200" in text
        assert "1 x 8 x 8" in text
        assert "<script>alert" not in text
        client.post(path)
    assert f'href="{path}">layers' in read(client, "/models")[0]


def test_a_tokenizer_has_a_page_and_no_report(client: TestClient) -> None:
    content = b'{"version": "1.0", "model": {"type": "WordLevel", "vocab": {"a": 0}}}'
    tokenizer = upload(client, "dataset", "tokenizer.json", content)
    assert "A tokenizer: it has no samples" in read(client, f"/datasets/{tokenizer}")[0]
    listed, _ = read(client, "/datasets")
    assert f'href="/datasets/{tokenizer}">report' not in listed
    assert client.post(f"/datasets/{tokenizer}", headers=HTML).status_code == 422


@pytest.mark.parametrize(
    "path", ["/datasets/ds_none", "/models/mdl_01kaz3x2mcf4t6v8y0r2q4s6u8", "/models/ds_1"]
)
def test_what_is_not_there_is_told_as_a_page(client: TestClient, path: str) -> None:
    answer = client.get(path, headers=HTML)
    assert answer.status_code == 404
    assert answer.headers["content-type"].startswith("text/html")


def test_who_may_only_read_sees_what_others_have_asked(doors: Doors, database: Database) -> None:
    named = {"params": {"name": "a.csv"}, "content": b"a,b\n1,2\n", "headers": _BINARY}
    input_id = doors.ask("writer", "post", "/v1/datasets", **named).json()["id"]
    early = doors.ask("reader", "get", f"/datasets/{input_id}", headers=HTML)
    assert early.status_code == 200
    assert "scope" in early.text
    doors.ask("writer", "get", f"/datasets/{input_id}", headers=HTML)
    answer_next(database, result=reported())
    assert "1,234" in doors.ask("reader", "get", f"/datasets/{input_id}", headers=HTML).text
    assert doors.ask("vision", "get", f"/datasets/{input_id}", headers=HTML).status_code == 404
