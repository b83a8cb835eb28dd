"""Keys: what they look like, what they include, and what is kept of them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import DatabaseError

from jobs.audit import Author
from jobs.database import Database
from jobs.errors import KeyNotFound, ProjectExists, ProjectNotFound
from jobs.keys import Scope, digest, id_of, is_same, new_key
from jobs.make_key import main
from jobs.repository import Repository
from jobs.tables import ApiKey, AuditEntry


def test_a_key_tells_its_id_and_a_slip_of_the_hand_is_seen() -> None:
    made = new_key()
    assert id_of(made.text) == made.id
    assert new_key().text != made.text
    assert is_same(made.text, digest(made.text))
    for place in (5, 40, len(made.text) - 1):
        other = "0" if made.text[place] != "0" else "1"
        assert id_of(made.text[:place] + other + made.text[place + 1 :]) is None
    for text in ("", "shk_", made.text + "0", made.text.upper(), "shk_" + "é" * 85):
        assert id_of(text) is None


def test_scopes_include_those_before_them() -> None:
    order = list(Scope)
    included = [[one.includes(other) for other in order] for one in order]
    assert included == [[True, False, False], [True, True, False], [True, True, True]]


def test_the_ledger_holds_no_key_and_a_project_sees_its_own(database: Database) -> None:
    with database.write() as session:
        repository = Repository(session)
        assert not repository.has_keys()
        repository.add_project("vision")
        _, house = repository.add_key("operator", Scope.ADMIN, project=None)
        _, theirs = repository.add_key("ci", Scope.WRITE, project="vision", days=3)
    with database.read() as session:
        repository = Repository(session)
        assert repository.has_keys()
        assert {row.id for row in repository.api_keys()} == {house.id, theirs.id}
        everything = session.execute(select(ApiKey.__table__)).all()
        assert not any(key.text[-72:] in str(everything) for key in (house, theirs))
        bound = Repository(session, "vision")
        assert [row.id for row in bound.api_keys()] == [theirs.id]
        with pytest.raises(KeyNotFound):
            bound.key(house.id)
        with pytest.raises(ProjectNotFound):
            bound.project("default")
    with database.write() as session, pytest.raises(KeyNotFound):
        Repository(session, "vision").revoke(house.id)


def test_revoking_again_changes_nothing(database: Database) -> None:
    with database.write() as session:
        _, made = Repository(session).add_key("a", Scope.READ, project="default")
    moments = []
    for _ in range(2):
        with database.write() as session:
            moments.append(Repository(session).revoke(made.id).revoked_at)
    assert moments[0] is not None
    assert moments[0] == moments[1]


def test_two_that_make_one_project_make_it_once(database: Database) -> None:
    def make(_: int) -> bool:
        try:
            with database.write() as session:
                Repository(session).add_project("vision")
        except ProjectExists:
            return False
        return True

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(make, range(4))) == [False, False, False, True]


def test_nobody_can_change_the_audit(database: Database) -> None:
    with database.write() as session:
        repository = Repository(session)
        repository.note(Author("abc"), "job.cancel", "job_x", project="default")
        (line,) = repository.audited(subject="job_x", limit=1)
    statements = (
        delete(AuditEntry).where(AuditEntry.id == line.id),
        update(AuditEntry).where(AuditEntry.id == line.id).values(subject="job_y"),
    )
    for statement in statements:
        with pytest.raises(DatabaseError, match="append-only"), database.write() as session:
            session.execute(statement)
    with database.read() as session:
        assert Repository(session, "default").audited(subject="job_x")[0].key_id == "abc"
        assert not Repository(session, "vision").audited(subject="job_x")


def test_the_operators_shell_makes_the_first_key(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STILLHOUSE_DATABASE_URL", database_url)
    assert main(["--house", "--name", "operator"]) == 0
    said = capsys.readouterr()
    key_id = id_of(said.out.strip())
    assert key_id is not None
    assert main(["--project", "vision", "--name", "ci", "--scope", "write", "--days", "9"]) == 0
    with database.read() as session:
        repository = Repository(session)
        assert repository.key(key_id).project is None
        theirs = id_of(capsys.readouterr().out.strip())
        assert theirs is not None
        row = repository.key(theirs)
        assert (row.project, row.scope) == ("vision", "write")
        assert row.expires_at is not None
        assert (row.expires_at - row.created_at).days == 9
    for wrong in (["--project", "No Such"], ["--days", "0"]):
        with pytest.raises(SystemExit):
            main(["--name", "x", *wrong])
