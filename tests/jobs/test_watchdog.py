"""Calls to a PostgreSQL server that answers no more, behind a link that takes everything."""

import threading
import time
from collections.abc import Generator

import pytest
from links import proxied
from proxy import FaultProxy
from specs import status_of, submit
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from jobs.database import UNREACHABLE, Database
from jobs.repository import Repository

CALL_SECONDS = 1.0
pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)


@pytest.fixture
def link(database_url: str) -> Generator[tuple[FaultProxy, Database]]:
    """Give a ledger behind a link that can fail."""
    with proxied(database_url) as (proxy, url), Database(url, CALL_SECONDS) as database:
        yield proxy, database


def test_a_question_that_is_swallowed_fails_in_time_and_the_next_connects_anew(
    link: tuple[FaultProxy, Database],
) -> None:
    proxy, database = link
    job_id = submit(database)
    proxy.swallow()
    asked = time.monotonic()
    with pytest.raises(UNREACHABLE):
        status_of(database, job_id)
    # The call itself, and then the connecting, which has its own five seconds.
    assert time.monotonic() - asked < 10
    proxy.heal()
    assert status_of(database, job_id) == "queued"


def test_a_commit_that_is_swallowed_fails_in_time(link: tuple[FaultProxy, Database]) -> None:
    proxy, database = link
    job_id = submit(database)
    asked = time.monotonic()

    def cancel() -> None:
        with database.write() as session:
            Repository(session).request_cancel(job_id)
            proxy.swallow()

    with pytest.raises(OperationalError):
        cancel()
    assert time.monotonic() - asked < 5
    proxy.heal()
    assert status_of(database, job_id) == "queued"


def test_what_answers_in_time_is_left_alone_however_many_ask(
    link: tuple[FaultProxy, Database],
) -> None:
    _, database = link
    failed: list[Exception] = []

    def ask() -> None:
        try:
            # Each transaction takes longer than a call may, and none of its calls does.
            with database.read() as session:
                for _ in range(5):
                    session.execute(text("SELECT pg_sleep(0.3)"))
        except Exception as error:  # noqa: BLE001  # told below
            failed.append(error)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_without_a_deadline_a_slow_answer_is_waited_for(database_url: str) -> None:
    with Database(database_url) as database, database.read() as session:
        assert session.scalar(text("SELECT 1 FROM pg_sleep(1.6)")) == 1
