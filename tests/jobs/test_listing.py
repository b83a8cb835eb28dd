"""The list finds what a look at every job would find, and never looks at every job."""

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from specs import claim, submit
from sqlalchemy import event, func, select

from jobs import listing, sums
from jobs.database import Database
from jobs.endings import Ending
from jobs.errors import IllegalTransition, LeaseLost
from jobs.ids import new_job_id
from jobs.repository import Repository
from jobs.states import Status
from jobs.tables import Job, StatusChange

TEAMS = ("red", "green")


@pytest.fixture
def crowd(database: Database) -> list[str]:
    """Give the ids of jobs of all sorts, the newest first."""
    chance = random.Random(5)
    ids = [
        submit(
            database,
            name=chance.choice(["night run", "Nightly 100%", "probe"]),
            method=chance.choice(["kd", "dkd"]),
            student=chance.choice(["mlp", "plain_cnn"]),
            labels={"team": chance.choice(TEAMS)} | ({"ci": "x"} if chance.random() < 0.3 else {}),
        )
        for _ in range(40)
    ]
    for _ in range(10):
        claim(database)
    with database.write() as session:
        for job_id in ids[3:30:3]:
            Repository(session).request_cancel(job_id)
    return ids[::-1]


def pages(database: Database, **filters: Any) -> Iterator[listing.Page]:
    after: str | None = None
    while True:
        with database.read() as session:
            page = Repository(session).list(after=after, **filters)
        yield page
        after = page.next_after
        if after is None:
            return


def fits(job: Job, filters: dict[str, Any]) -> bool:
    """Say in plain words what the filters mean."""
    labels = filters.get("labels", {})
    words = filters.get("q", "").lower()
    return (
        job.status in filters.get("status", list(Status))
        and job.method == filters.get("method", job.method)
        and job.student == filters.get("student", job.student)
        and all(
            key in job.labels and value in {None, job.labels[key]} for key, value in labels.items()
        )
        and (words in (job.name or "").lower() or words in job.id)
    )


FILTERS: list[dict[str, Any]] = [
    {},
    {"method": "dkd"},
    {"status": [Status.CANCELLED]},
    {"status": [Status.CANCELLED, Status.RUNNING, Status.CANCELLING]},
    {"status": [Status.FAILED]},
    {"labels": {"team": "red"}},
    {"labels": {"ci": None}},
    {"labels": {"ci": None, "team": "green"}},
    {"labels": {"nobody": "has this"}},
    {"q": "NIGHT"},
    {"q": "100%"},
    {"q": "job_"},
    {"q": "nothing is named so"},
    {"q": "night", "method": "kd", "labels": {"team": "red"}},
    {"method": "kd", "student": "mlp"},
    {"method": "kd", "student": "mlp", "status": [Status.QUEUED, Status.RUNNING]},
]


@pytest.mark.parametrize("look", [1, 4, 10_000])
def test_page_by_page_a_list_holds_what_a_look_at_every_job_finds(
    database: Database, crowd: list[str], look: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOK", look)
    with database.read() as session:
        every = {job_id: Repository(session).get(job_id) for job_id in crowd}
    for filters in FILTERS:
        expected = [job_id for job_id in crowd if fits(every[job_id], filters)]
        found = [job.id for page in pages(database, limit=3, **filters) for job in page.items]
        assert found == expected, filters


def test_a_page_that_found_little_says_where_to_go_on(
    database: Database, crowd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOK", 15)
    lengths = [len(page.items) for page in pages(database, q=crowd[-1][-10:])]
    assert lengths == [0, 0, 1]


def test_the_whole_id_of_a_job_finds_it_wherever_it_stands(
    database: Database, crowd: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "LOOK", 2)
    oldest = crowd[-1]
    for q in (oldest, oldest.upper(), oldest.removeprefix("job_")):
        (page,) = pages(database, q=q)
        assert [job.id for job in page.items] == [oldest]
    (page,) = pages(database, q=oldest, status=[Status.SUCCEEDED])
    assert page.items == []
    (page,) = pages(database, q=new_job_id())
    assert page.items == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_no_list_sorts_or_scans_the_table(database: Database, filters: dict[str, Any]) -> None:
    told: list[tuple[str, Any]] = []
    event.listen(
        database.engine,
        "before_cursor_execute",
        lambda _c, _k, statement, parameters, *_: told.append((statement, parameters)),
    )
    with database.read() as session:
        Repository(session).list(**filters)
    with database.engine.connect() as connection:
        for statement, parameters in told:
            if not statement.startswith("SELECT"):
                continue
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)
            for step in (row[-1] for row in plan):
                assert not step.startswith("SCAN jobs") or "INDEX" in step, (step, statement)


def counted(database: Database) -> tuple[dict[str, int], dict[str, int]]:
    """Return the counts, and what counting every job gives."""
    with database.read() as session:
        rows = session.execute(select(Job.status, func.count()).group_by(Job.status))
        return dict(Repository(session).counts()), dict(rows.all())


def wander(database: Database, seed: int, jobs: int) -> None:
    """Do whatever clients, workers and sweepers may do, in an order by chance."""
    chance = random.Random(seed)
    for _ in range(jobs):
        job_id = submit(database, labels={"seed": str(seed)})
        for _ in range(chance.randrange(6)):
            with database.write() as session:
                ledger = Repository(session)
                try:
                    match chance.randrange(5):
                        case 0:
                            ledger.request_cancel(job_id)
                        case 1:
                            ledger.retry(job_id, "scratch")
                        case 2 | 3:
                            ledger.claim("w", 60)
                        case _:
                            held = chance.choice([*ledger.leases(), None])
                            if held is None:
                                continue
                            how = chance.choice([Status.SUCCEEDED, Status.FAILED, None])
                            if how:
                                ledger.settle(held.job_id, held.token, how, Ending("x"))
                            else:
                                ledger.release(
                                    held.job_id,
                                    held.token,
                                    Ending("lost"),
                                    counted=True,
                                    retry_seconds=0,
                                )
                except (IllegalTransition, LeaseLost):
                    pass


def test_counts_are_exact_whatever_happens_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sums, "FOLD_EVERY", 7)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: wander(database, seed, 12), range(4)))
    told, true = counted(database)
    assert told == true
    assert sum(told.values()) == 48


def test_a_change_that_is_undone_is_not_counted(database: Database) -> None:
    job_id = submit(database)
    with pytest.raises(RuntimeError), database.write() as session:  # noqa: PT012
        Repository(session).request_cancel(job_id)
        raise RuntimeError
    told, true = counted(database)
    assert told == true == {"queued": 1}


def test_the_notes_that_counts_are_added_up_from_stay_few(database: Database) -> None:
    job_id = submit(database)
    for _ in range(sums.FOLD_EVERY):
        with database.write() as session:
            Repository(session).request_cancel(job_id)
            Repository(session).retry(job_id)
    with database.read() as session:
        notes = session.scalar(select(func.count()).select_from(StatusChange))
    assert notes is not None
    assert notes <= sums.FOLD_EVERY + 2 * len(Status)
    told, true = counted(database)
    assert told == true
