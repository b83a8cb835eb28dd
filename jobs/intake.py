"""Storing submissions together: all that wait become one transaction, and one flush of the disk."""

from collections.abc import Sequence

from sqlalchemy.exc import IntegrityError

from jobs.database import UNREACHABLE, Database
from jobs.errors import IdempotencyKeyTaken
from jobs.keyed import JobRow
from jobs.repository import Repository
from jobs.submission import Submission


def store_all(database: Database, submissions: Sequence[Submission]) -> list[JobRow | Exception]:
    """Store jobs and return their rows, each committed; what cannot be stored has its error.

    An idempotency key that is taken undoes the common transaction, and each is then stored alone.
    """
    if len(submissions) == 1:
        return [_store_one(database, submissions[0])]
    try:
        with database.write() as session:
            return list[JobRow | Exception](Repository(session).add_all(submissions))
    except IntegrityError:
        return [_store_one(database, one) for one in submissions]


def _store_one(database: Database, submission: Submission) -> JobRow | Exception:
    try:
        with database.write() as session:
            return Repository(session).add_all([submission])[0]
    except (IdempotencyKeyTaken, IntegrityError, *UNREACHABLE) as error:
        return error
