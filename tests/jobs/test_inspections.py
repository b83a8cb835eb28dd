"""Inspections in the ledger: asked once, claimed once, fenced, given up, forgotten."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select, update

from jobs.database import Database
from jobs.input_errors import InputNotFound, InspectionLost, InspectionNotFound, InspectionsFull
from jobs.inputs import Brought
from jobs.inspections import MOST_LOSSES, MOST_WAITING, Inspected, Question
from jobs.moments import clock
from jobs.receiving import Received
from jobs.repository import Repository
from jobs.tables import Inspection, InspectionInput

QUESTION = Question("preflight", {"data": "digits"})
HASH = "a" * 64


def ask(database: Database, question: Question = QUESTION, *, again: bool = False) -> str:
    with database.write() as session:
        return Repository(session).inspect("default", question, by=None, again=again)[0].id


def claim(database: Database, lease: float = 60) -> Inspected | None:
    with database.write() as session:
        return Repository(session).claim_inspection(lease)


def row_of(database: Database, inspection_id: str) -> Inspection:
    with database.read() as session:
        return Repository(session).inspection(inspection_id)


def bring(database: Database) -> str:
    with database.write() as session:
        received = Received(location="ds_1/0/a.zip", size_bytes=10, sha256=HASH)
        brought = Brought("ds_1", "dataset", "a.zip", "application/zip", received)
        return Repository(session).keep_input("default", brought)[0].id


def test_the_same_question_is_asked_once_by_anybody_at_any_moment(database: Database) -> None:
    with ThreadPoolExecutor(6) as pool:
        ids = set(pool.map(lambda _: ask(database), range(12)))
    assert len(ids) == 1
    other = Question("preflight", {"data": "synthetic"})
    assert ask(database, other) not in ids
    with database.write() as session:
        theirs, is_new = Repository(session).inspect("vision", QUESTION, by=None)
    assert is_new
    assert theirs.id not in ids
    with database.read() as session, pytest.raises(InspectionNotFound):
        Repository(session, "default").inspection(theirs.id)


def test_each_is_claimed_by_one_and_only_its_owner_answers(database: Database) -> None:
    inspection_id = ask(database)
    with ThreadPoolExecutor(6) as pool:
        claims = [one for one in pool.map(lambda _: claim(database), range(6)) if one]
    (mine,) = claims
    assert (mine.id, mine.attempt, mine.asked) == (inspection_id, 1, {"data": "digits"})
    for attempt in (0, 2):
        with database.write() as session, pytest.raises(InspectionLost):
            Repository(session).answer_inspection(mine.id, attempt, result={"a": 1})
    with database.write() as session:
        Repository(session).answer_inspection(mine.id, 1, result={"a": 1})
    row = row_of(database, mine.id)
    assert (row.state, row.result, row.failure) == ("done", {"a": 1}, None)
    assert row.finished_at is not None
    with database.write() as session, pytest.raises(InspectionLost):
        Repository(session).answer_inspection(mine.id, 1, failure={"code": "late"})
    # It is told again, unless somebody wants another look.
    assert ask(database) == inspection_id
    assert ask(database, again=True) != inspection_id


def test_a_dead_worker_is_followed_by_another_twice(database: Database) -> None:
    inspection_id = ask(database)
    for losses in range(MOST_LOSSES + 1):
        assert row_of(database, inspection_id).losses == losses
        mine = claim(database, lease=-1)
        assert mine is not None
        assert mine.attempt == losses + 1
        with database.write() as session:
            assert Repository(session).expire_inspections() == [inspection_id]
    row = row_of(database, inspection_id)
    assert row.state == "failed"
    assert row.failure is not None
    assert row.failure["code"] == "worker_lost"
    assert claim(database) is None


def test_a_worker_that_renews_or_drains_loses_nothing(database: Database) -> None:
    ask(database)
    mine = claim(database, lease=-1)
    assert mine is not None
    with database.write() as session:
        ledger = Repository(session)
        ledger.renew_inspection(mine.id, 1, 60)
        assert ledger.expire_inspections() == []
        ledger.release_inspection(mine.id, 1)
    assert row_of(database, mine.id).losses == 0
    again = claim(database)
    assert again is not None
    assert again.attempt == 2
    with database.write() as session, pytest.raises(InspectionLost):
        Repository(session).renew_inspection(mine.id, 1, 60)


def test_it_goes_with_the_file_that_it_looks_into(database: Database) -> None:
    input_id = bring(database)
    question = Question("dataset_report", {"data": {"path": "…"}}, (input_id,))
    inspection_id = ask(database, question)
    mine = claim(database)
    assert mine is not None
    (used,) = mine.inputs
    assert (used.sha256, used.path) == (HASH, f"uploads/{HASH}/a.zip")
    with database.write() as session:
        Repository(session).delete_input("dataset", input_id)
    with database.read() as session:
        assert session.scalars(select(InspectionInput)).all() == []
    with pytest.raises(InspectionNotFound):
        row_of(database, inspection_id)
    with database.write() as session, pytest.raises(InspectionLost):
        Repository(session).answer_inspection(mine.id, 1, result={})
    with pytest.raises(InputNotFound):
        ask(database, question)


def test_a_project_may_not_have_endlessly_many_waiting(database: Database) -> None:
    for number in range(MOST_WAITING):
        ask(database, Question("preflight", {"number": number}))
    with pytest.raises(InspectionsFull):
        ask(database, Question("preflight", {"number": -1}))
    assert ask(database, Question("preflight", {"number": 0}))  # it waits already


def test_what_nobody_asks_for_is_forgotten(database: Database) -> None:
    asked, waiting = ask(database), ask(database, Question("preflight", {}))
    mine = claim(database)
    assert mine is not None
    with database.write() as session:
        ledger = Repository(session)
        ledger.answer_inspection(asked, 1, result={})
        assert ledger.forget_inspections(1, 10) == []
        session.execute(update(Inspection).values(asked_at=clock(-90_000)))
        assert ledger.forget_inspections(1, 10) == [asked]
        session.execute(update(Inspection).values(created_at=clock(-90)))
        assert ledger.waiting_inspection(15) == waiting
