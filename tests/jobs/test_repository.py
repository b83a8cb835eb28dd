"""What clients do with the ledger: submit, look, cancel, retry."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from specs import claim, document, status_of, story_of, submit

from jobs.database import Database
from jobs.endings import Ending, Failure
from jobs.errors import IdempotencyKeyTaken, IllegalTransition, JobNotFound
from jobs.repository import Repository
from jobs.spec import JobSpec
from jobs.states import Status, Verb
from jobs.verbs import CancelMode


def end(database: Database, status: Status) -> str:
    """Make a job that ended in a status."""
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        ledger = Repository(session)
        if status is Status.CANCELLED:
            ledger.request_cancel(job_id)
        failure = Failure("nan_loss", "the loss is NaN") if status is Status.FAILED else None
        ledger.settle(job_id, token, status, Ending("test", failure))
    return job_id


def test_a_new_job_is_queued_with_its_first_event(database: Database) -> None:
    job_id = submit(database, name="ünïcødé 🥃", labels={"team": "a"}, method="dkd")
    with database.read() as session:
        job = Repository(session).get(job_id)
    assert (job.status, job.attempt, job.worker, job.finished_at) == ("queued", 0, None, None)
    assert (job.name, job.method) == ("ünïcødé 🥃", "dkd")
    assert (job.teacher, job.student) == ("plain_cnn", "mlp")
    assert job.spec == document(name="ünïcødé 🥃", labels={"team": "a"}, method="dkd")
    assert job.recipe["method"]["name"] == "dkd"
    assert "labels" not in job.recipe
    assert job.created_at.utcoffset() is not None
    assert story_of(database, job_id) == ["job.queued"]


def test_nothing_is_stored_when_the_transaction_fails(database: Database) -> None:
    sent = document()
    with pytest.raises(RuntimeError), database.write() as session:  # noqa: PT012
        Repository(session).add(JobSpec.model_validate(sent), sent)
        raise RuntimeError
    with database.read() as session:
        assert Repository(session).list().items == []


def test_an_unknown_job_is_not_found(database: Database) -> None:
    with database.read() as session, pytest.raises(JobNotFound, match="job_nope"):
        Repository(session).get("job_nope")


def test_one_idempotency_key_makes_one_job_however_many_ask_at_once(database: Database) -> None:
    sent = document()
    spec = JobSpec.model_validate(sent)

    def ask(body: str) -> str:
        try:
            with database.write() as session:
                added = Repository(session).add(
                    spec, sent, idempotency_key="once", body_sha256=body
                )
                return added.id
        except IdempotencyKeyTaken:
            with database.read() as session:
                found = Repository(session).find_by_idempotency_key("once")
            assert found is not None
            return found[0]

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(ask, ["a" * 64] * 8))
    assert len(made) == 1
    with database.read() as session:
        found = Repository(session).find_by_idempotency_key("once")
        assert found is not None
        assert found[1] == "a" * 64
        assert Repository(session).find_by_idempotency_key("another") is None


def test_the_list_goes_page_by_page_newest_first(database: Database) -> None:
    made = [submit(database) for _ in range(7)]
    seen: list[str] = []
    after: str | None = None
    for _ in range(3):
        with database.read() as session:
            page = Repository(session).list(limit=3, after=after)
        seen += [job.id for job in page.items]
        submit(database)  # newer jobs do not shift the pages
        after = page.next_after
    assert after is None
    assert seen == made[::-1]


def test_the_list_can_be_filtered(database: Database) -> None:
    plain = submit(database, name="100% plain")
    labelled = submit(database, name="1000 labelled", labels={"team": "a", "k.e/y": "x'\"y"})
    other = submit(database, method="dkd", student="plain_cnn", labels={"team": "b"})
    claim(database)

    def found(**filters: object) -> list[str]:
        with database.read() as session:
            return [job.id for job in Repository(session).list(**filters).items]  # type: ignore[arg-type]

    assert found(status=[Status.RUNNING]) == [plain]
    assert found(status=[Status.RUNNING, Status.QUEUED]) == [other, labelled, plain]
    assert found(labels={"team": "a"}) == [labelled]
    assert found(labels={"team": None}) == [other, labelled]
    assert found(labels={"team": "a", "k.e/y": "x'\"y"}) == [labelled]
    assert found(method="dkd") == [other]
    assert found(student="mlp", teacher="plain_cnn") == [labelled, plain]
    assert found(q="100%") == [plain], "a percent sign is a letter, not a pattern"
    assert found(q="LABELLED") == [labelled]
    assert found(q=other[4:]) == [other]
    assert found(q="_____") == []


def test_a_waiting_job_is_cancelled_at_once_and_never_claimed(database: Database) -> None:
    job_id = submit(database)
    with database.write() as session:
        assert Repository(session).request_cancel(job_id).status == "cancelled"
    with database.write() as session:
        assert Repository(session).claim("w", 60) is None
    assert story_of(database, job_id) == ["job.queued", "job.cancel_requested", "job.cancelled"]


def test_a_running_job_is_cancelled_by_its_worker(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        assert Repository(session).request_cancel(job_id).status == "cancelling"
    with database.write() as session:
        assert Repository(session).heartbeat(job_id, token, 60).cancel == "graceful"
    with database.write() as session:
        Repository(session).settle(job_id, token, Status.CANCELLED, Ending("cancelled"))
    assert status_of(database, job_id) == "cancelled"


@pytest.mark.parametrize(
    ("modes", "last", "told"),
    [
        (["graceful", "graceful"], "graceful", 1),
        (["graceful", "now"], "now", 2),
        (["now", "graceful"], "now", 1),
    ],
)
def test_asking_again_only_ever_hurries_a_cancel(
    database: Database, modes: list[CancelMode], last: str, told: int
) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    for mode in modes:
        with database.write() as session:
            Repository(session).request_cancel(job_id, mode)
    with database.write() as session:
        assert Repository(session).heartbeat(job_id, token, 60).cancel == last
    assert story_of(database, job_id).count("job.cancel_requested") == told


def test_a_finish_that_wins_the_race_against_a_cancel_stays(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    with database.write() as session:
        Repository(session).request_cancel(job_id)
    with database.write() as session:
        Repository(session).settle(job_id, token, Status.SUCCEEDED, Ending("finished"))
    assert status_of(database, job_id) == "succeeded"


def test_cancelling_again_is_fine_and_cancelling_what_ended_is_not(database: Database) -> None:
    cancelled = end(database, Status.CANCELLED)
    with database.write() as session:
        assert Repository(session).request_cancel(cancelled).status == "cancelled"
    for status in (Status.SUCCEEDED, Status.FAILED):
        job_id = end(database, status)
        before = story_of(database, job_id)
        with database.write() as session, pytest.raises(IllegalTransition) as caught:
            Repository(session).request_cancel(job_id)
        retry = {Verb.RETRY} if status is Status.FAILED else set[Verb]()
        assert set(caught.value.legal) == {Verb.CLONE, Verb.DELETE} | retry
        assert story_of(database, job_id) == before


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED])
def test_a_retry_is_a_new_attempt_of_the_same_job(database: Database, status: Status) -> None:
    job_id = end(database, status)
    with database.write() as session:
        job = Repository(session).retry(job_id)
    assert (job.status, job.failure, job.cancel_mode, job.finished_at) == ("queued",) + (None,) * 3
    again = claim(database)
    assert (again.job_id, again.attempt, again.resume_from) == (job_id, 2, [1])
    with database.write() as session:
        assert Repository(session).heartbeat(job_id, 2, 60).cancel is None


def test_a_retry_from_scratch_forgets_what_was_saved(database: Database) -> None:
    job_id = submit(database)
    token = claim(database).attempt
    points = {"step": [1, 2], "loss": [1.0, 2.0]}
    events = [
        {"type": "artifact", "name": "teacher.safetensors"},
        {"type": "metrics", "stage": "teacher", "seed": 0, "columns": points},
    ]
    with database.write() as session:
        ledger = Repository(session)
        ledger.record(job_id, token, events, batch=1)
        ledger.settle(job_id, token, Status.FAILED, Ending("x", Failure("x", "x")))
        ledger.retry(job_id, "scratch")
    again = claim(database)
    assert (again.attempt, again.resume_from, again.announced) == (2, [], [])
    with database.read() as session:
        assert Repository(session).metrics(job_id).stages == {}


@pytest.mark.parametrize("status", [Status.QUEUED, Status.RUNNING, Status.SUCCEEDED])
def test_what_has_not_failed_cannot_be_retried(database: Database, status: Status) -> None:
    job_id = end(database, status) if status is Status.SUCCEEDED else submit(database)
    if status is Status.RUNNING:
        claim(database)
    with database.write() as session, pytest.raises(IllegalTransition):
        Repository(session).retry(job_id)
    assert status_of(database, job_id) == status


def test_jobs_are_counted_by_status(database: Database) -> None:
    end(database, Status.FAILED)
    submit(database)
    submit(database)
    claim(database)
    with database.read() as session:
        assert Repository(session).counts() == {"failed": 1, "queued": 1, "running": 1}
