"""`python -m jobs.make_key`: make an API key from the operator's shell, as the first one must be.

    python -m jobs.make_key --house --name operator
    python -m jobs.make_key --project vision --scope write --name ci

It speaks with the database of STILLHOUSE_DATABASE_URL; the key is printed once, alone on a line.
"""

import argparse
import sys

from jobs.audit import Author
from jobs.database import UNREACHABLE, open_database
from jobs.errors import JobError, ProjectNotFound
from jobs.keys import Scope
from jobs.projects import PROJECT_NAME
from jobs.repository import Repository
from jobs.settings import Settings
from jobs.tenants import DEFAULT_PROJECT


def main(arguments: list[str] | None = None) -> int:
    """Make a key, and its project if need be; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m jobs.make_key", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--name", required=True, help="whose it is, or what for")
    whose = parser.add_mutually_exclusive_group()
    whose.add_argument("--project", default=DEFAULT_PROJECT, help="made if there is none; default")
    whose.add_argument("--house", action="store_true", help="opens every project")
    parser.add_argument("--scope", choices=list(Scope), default=Scope.ADMIN, type=Scope)
    parser.add_argument("--days", type=int, help="valid for so many days; for ever without")
    chosen = parser.parse_args(arguments)
    if not PROJECT_NAME.fullmatch(chosen.project):
        parser.error(f"found the project {chosen.project!r}; expected lower case, digits and -")
    if chosen.days is not None and chosen.days < 1:
        parser.error(f"found {chosen.days} days; expected 1 or more")
    project = None if chosen.house else chosen.project
    try:
        with open_database(Settings()) as database, database.write() as session:
            repository = Repository(session)
            if project is not None:
                _ensure(repository, project)
            row, made = repository.add_key(
                chosen.name, chosen.scope, project=project, days=chosen.days
            )
            repository.note(Author(), "key.create", row.id, project=project)
    except JobError as error:
        sys.stderr.write(f"error: {error}: {error.hint}\n")
        return 1
    except UNREACHABLE as error:
        sys.stderr.write(f"error: the database does not answer: {type(error).__name__}\n")
        return 1
    sys.stderr.write("Keep it: it is shown once. From now on the API asks everybody for a key.\n")
    sys.stdout.write(f"{made.text}\n")
    return 0


def _ensure(repository: Repository, project: str) -> None:
    try:
        repository.project(project)
    except ProjectNotFound:
        repository.add_project(project)


if __name__ == "__main__":
    sys.exit(main())
