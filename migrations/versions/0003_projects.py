"""Projects, keys and the audit: whose a job is, who may see it, and who did what.

Revision ID: 0003
Revises: 0002
"""

import hashlib

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FILTERS = ("status", "method", "teacher", "student")
OWNED = ("jobs", "job_labels", "status_changes")
ROWS = 1000
"""Rows in memory at a time."""


def upgrade() -> None:
    """Go one step forward."""
    Moment = sa.DateTime(timezone=True)
    op.create_table(
        "projects",
        sa.Column("name", sa.String(length=63), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("max_running", sa.Integer(), nullable=True),
        sa.Column("max_waiting", sa.Integer(), nullable=True),
        sa.Column("served_at", Moment, nullable=True),
        sa.CheckConstraint("max_running >= 0", name=op.f("ck_projects_max_running_not_negative")),
        sa.CheckConstraint("max_waiting >= 0", name=op.f("ck_projects_max_waiting_not_negative")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_projects")),
    )
    is_sqlite = op.get_bind().dialect.name == "sqlite"
    now = "ledger_clock(0.0)" if is_sqlite else "clock_timestamp()"
    op.execute(f"INSERT INTO projects (name, created_at) VALUES ('default', {now})")
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(length=20), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=True),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("created_by", sa.String(length=20), nullable=True),
        sa.Column("session_of", sa.String(length=20), nullable=True),
        sa.Column("expires_at", Moment, nullable=True),
        sa.Column("last_used_at", Moment, nullable=True),
        sa.Column("revoked_at", Moment, nullable=True),
        sa.CheckConstraint(
            "scope IN ('admin', 'read', 'write')", name=op.f("ck_api_keys_scope_known")
        ),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_api_keys_sha256_complete")),
        sa.ForeignKeyConstraint(["project"], ["projects.name"], name=op.f("fk_api_keys_project")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_keys")),
    )
    op.create_index("ix_api_keys_project_id", "api_keys", ["project", "id"])
    op.create_index("ix_api_keys_session_of", "api_keys", ["session_of"])
    op.create_table(
        "audit",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.Column("project", sa.String(length=63), nullable=True),
        sa.Column("key_id", sa.String(length=20), nullable=True),
        sa.Column("address", sa.String(length=64), nullable=True),
        sa.Column("request_id", sa.String(length=64), nullable=True),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("details", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_audit")),
    )
    op.create_index("ix_audit_project_id", "audit", ["project", "id"])
    _guard_audit(is_sqlite=is_sqlite)

    for table in OWNED:
        owner = sa.Column("project", sa.String(length=63), nullable=False, server_default="default")
        op.add_column(table, owner)
    op.add_column("jobs", sa.Column("submitted_by", sa.String(length=20), nullable=True))
    op.add_column(
        "jobs",
        sa.Column("queue", sa.String(length=63), nullable=False, server_default="default"),
    )
    op.add_column(
        "jobs", sa.Column("gpus", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    _digest_idempotency_keys()
    _replace(_lists(), _lists("project"))
    op.drop_index("ix_jobs_waiting", "jobs")
    _index_waiting("ix_jobs_next", "project", "queue")


def downgrade() -> None:
    """Go one step back; what other projects had is everybody's then, and keys open nothing."""
    op.drop_index("ix_jobs_next", "jobs")
    _index_waiting("ix_jobs_waiting")
    _replace(_lists("project"), _lists())
    for column in ("submitted_by", "queue", "gpus"):
        op.drop_column("jobs", column)
    for table in OWNED:
        op.drop_column(table, "project")
    for table in ("audit", "api_keys", "projects"):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION keep_audit()")


def _guard_audit(*, is_sqlite: bool) -> None:
    """Have the database itself refuse to change what was written down."""
    if is_sqlite:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER keep_audit_{verb.lower()} BEFORE {verb} ON audit"
                " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION keep_audit() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'the audit is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER keep_audit BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION keep_audit()"
    )


def _digest_idempotency_keys() -> None:
    """Bind each key to the project that it was sent in, which until now was the only one."""
    connection = op.get_bind()
    number, key = sa.column("id", sa.String), sa.column("idempotency_key", sa.String)
    jobs = sa.table("jobs", number, key)
    page = sa.select(number, key).select_from(jobs).where(key.is_not(None)).order_by(number)
    done = ""
    while rows := connection.execute(page.where(number > done).limit(ROWS)).all():
        for job_id, sent in rows:
            done = job_id
            digest = hashlib.sha256(f"default\n{sent}".encode()).hexdigest()
            connection.execute(
                sa.update(jobs).where(number == job_id).values(idempotency_key=digest)
            )


def _index_waiting(name: str, *leading: str) -> None:
    """Index the jobs that wait, as they are claimed."""
    queued = sa.text("status = 'queued'")
    columns = [*leading, sa.text("priority DESC"), "run_after", "id"]
    op.create_index(name, "jobs", columns, sqlite_where=queued, postgresql_where=queued)


def _lists(*leading: str) -> list[tuple[str, str, list[str]]]:
    """Return the indexes that lists walk along, each with its table and its columns."""
    columns = {
        "jobs": [["id", "name"], *([column, "id"] for column in FILTERS)],
        "job_labels": [["key", "value", "job_id"], ["key", "job_id"]],
    }
    wanted = [(table, [*leading, *some]) for table, all_of in columns.items() for some in all_of]
    return [("_".join(["ix", table, *some]), table, some) for table, some in wanted]


def _replace(old: list[tuple[str, str, list[str]]], new: list[tuple[str, str, list[str]]]) -> None:
    for name, table, _ in old:
        op.drop_index(name, table)
    for name, table, columns in new:
        op.create_index(name, table, columns)
