"""What looks at data and specs may die, hang or eat memory: the worker does not, and says so."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from house import House
from waiting import wait_until

from jobs.database import Database
from jobs.inputs import Brought
from jobs.inspections import Question
from jobs.receiving import Announced, Place, Reception
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.stores import open_store
from jobs.tables import Inspection
from worker.inspecting import INSPECTOR, Inspecting
from worker.stay import Stay

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SPEC: dict[str, Any] = {
    "teacher": {"model": {"name": "mlp", "hidden": [8]}},
    "student": {"model": {"name": "mlp", "hidden": [2]}},
    "data": {"name": "synthetic"},
}


def ask(database: Database, question: Question) -> str:
    with database.write() as session:
        return Repository(session).inspect("default", question, by=None)[0].id


def row_of(database: Database, inspection_id: str) -> Inspection:
    with database.read() as session:
        return Repository(session).inspection(inspection_id)


def answered(
    settings: Settings,
    database: Database,
    question: Question,
    command: Sequence[str] = INSPECTOR,
    *,
    draining: bool = False,
) -> Inspection:
    """Have a question answered by a real child, and return what the ledger has then."""
    inspection_id = ask(database, question)
    stop = threading.Event()
    if draining:
        stop.set()
    room = Inspecting(
        settings, database, open_store(settings), stop, Stay(settings), command=command
    )
    assert room.answer_one()
    assert draining or not room.answer_one()
    assert [*settings.inspected.iterdir()] == []
    return row_of(database, inspection_id)


def code_of(row: Inspection) -> str:
    assert row.state == "failed"
    assert row.failure is not None
    assert row.failure["hint"]
    code: str = row.failure["code"]
    return code


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("import os; os.kill(os.getpid(), 9)", "inspection_crashed"),
        ("pass", "inspection_crashed"),
        ("import os; os.write(FD, b'no json\\n')", "inspection_crashed"),
        ("import os; os.write(FD, b'x' * (9 << 20))", "inspection_crashed"),
        ("import time; time.sleep(600)", "inspection_overdue"),
    ],
)
def test_a_child_that_gives_no_answer_is_told_of(
    settings: Settings, database: Database, program: str, code: str
) -> None:
    program = f"import sys; FD = int(sys.argv[2]); {program}"
    impatient = settings.model_copy(update={"inspection_seconds": 1.0})
    command = [sys.executable, "-c", program]
    row = answered(impatient, database, Question("preflight", SPEC), command)
    assert code_of(row) == code


def test_one_that_drains_gives_it_back(settings: Settings, database: Database) -> None:
    row = answered(settings, database, Question("preflight", SPEC), draining=True)
    assert (row.state, row.attempt, row.losses) == ("queued", 1, 0)


def test_a_data_bomb_ends_the_child_alone(settings: Settings, database: Database) -> None:
    # 300 MB of zeros in a file of some hundred kilobytes; as floats they are four times as large.
    content = io.BytesIO()
    zeros = np.zeros((300, 1, 1000, 1000), np.uint8)
    labels = np.arange(300) % 2
    np.savez_compressed(content, x_train=zeros, y_train=labels, x_test=zeros[:2], y_test=labels[:2])
    store = open_store(settings)
    reception = Reception(store, Place("ds_1", "b.npz"), most_bytes=10**7, announced=Announced())
    reception.write(content.getvalue())
    received = reception.finish()
    with database.write() as session:
        brought = Brought("ds_1", "dataset", "b.npz", "application/octet-stream", received)
        Repository(session).keep_input("default", brought)
    path = f"uploads/{received.sha256}/b.npz"
    asked = {"data": {"name": "arrays", "path": path}}
    small = settings.model_copy(update={"inspection_memory_bytes": 1 << 30})
    row = answered(small, database, Question("dataset_report", asked, ("ds_1",)))
    assert code_of(row) == "out_of_memory"


def test_a_report_calls_files_as_their_owner_does(settings: Settings, database: Database) -> None:
    store = open_store(settings)
    reception = Reception(store, Place("ds_1", "own.csv"), most_bytes=99, announced=Announced())
    reception.write(b"age,kind\n1,a\n2\n")
    received = reception.finish()
    with database.write() as session:
        brought = Brought("ds_1", "dataset", "own.csv", "text/csv", received)
        Repository(session).keep_input("default", brought)
    question = Question(
        "dataset_report", {"table": f"uploads/{received.sha256}/own.csv"}, ("ds_1",)
    )
    row = answered(settings, database, question)
    assert row.result is not None, row.failure
    assert row.result["faults"]["shown"][0]["name"] == "own.csv, line 3"
    assert "uploads/" not in str(row.result)


@pytest.mark.slow
def test_a_worker_that_is_killed_in_the_middle_is_followed_by_another(
    house: House, tmp_path: Path
) -> None:
    worker = house.start()
    house.worker_id(worker)
    inspection_id = ask(house.database, Question("preflight", SPEC))
    wait_until(lambda: row_of(house.database, inspection_id).state == "running")
    worker.kill()
    worker.wait()
    house.start()
    wait_until(
        lambda: row_of(house.database, inspection_id).state in {"done", "failed"}, seconds=120
    )
    row = row_of(house.database, inspection_id)
    assert (row.state, row.attempt, row.losses) == ("done", 2, 1), row.failure
    assert row.result is not None
    assert row.result["compatible"]


@pytest.mark.slow
def test_a_bell_wakes_a_worker_that_hardly_polls(ringing_house: House) -> None:
    house = ringing_house
    house.worker_id(house.start())
    inspection_id = ask(house.database, Question("preflight", SPEC))
    house.bell.ring(inspection_id)
    wait_until(lambda: row_of(house.database, inspection_id).state == "done", seconds=120)
