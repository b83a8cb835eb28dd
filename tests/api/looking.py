"""Uploads that somebody looks into, and a worker that finds what a test says."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from fastapi.testclient import TestClient

from jobs.database import Database
from jobs.repository import Repository
from kdcore.data_report import DataReport, Duplicates, Faults, PartTold


def npz() -> bytes:
    file = io.BytesIO()
    np.savez(file, x_train=np.zeros((4, 2), "float32"))
    return file.getvalue()


def upload(client: TestClient, name: str = "a.npz", content: bytes | None = None) -> str:
    answer = client.post(f"/v1/datasets?name={name}", content=content or npz(), headers=BINARY)
    assert answer.is_success, answer.text
    input_id: str = answer.json()["id"]
    return input_id


BINARY = {"Content-Type": "application/octet-stream"}


def finish(database: Database, **told: Any) -> None:
    with database.write() as session:
        ledger = Repository(session)
        claimed = ledger.claim_inspection(60)
        assert claimed is not None
        ledger.answer_inspection(claimed.id, claimed.attempt, **told)


def report_of(samples: int, classes: int = 2) -> dict[str, Any]:
    """Return a data report of so many training samples."""
    part = PartTold(samples=samples, labelled=samples, unlabelled=0)
    return DataReport(
        data="arrays",
        kind="arrays",
        fingerprint="ab" * 32,
        parts={"train": part},
        num_classes=classes,
        classes=[],
        imbalance=None,
        duplicates=Duplicates(within={}, across={}, conflicting=0, groups=0, shown=[]),
        faults=Faults(count=0, shown=[]),
        sizes=None,
        columns=[],
        notes=[],
    ).model_dump(mode="json")
