"""What lists and counts stand on: indexes by filter, labels, sums by status, views of curves.

Revision ID: 0002
Revises: 0001
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
FILTERS = ("status", "method", "teacher", "student")
CHUNKS = 100
"""Chunks of curves in memory at a time."""


def upgrade() -> None:
    """Go one step forward."""
    for column in FILTERS:
        op.create_index(f"ix_jobs_{column}_id", "jobs", [column, "id"])
    op.create_index("ix_jobs_id_name", "jobs", ["id", "name"])
    op.create_table(
        "job_labels",
        sa.Column("job_id", sa.String(length=30), nullable=False),
        sa.Column("key", sa.String(length=63), nullable=False),
        sa.Column("value", sa.String(length=256), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_labels_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "key", name=op.f("pk_job_labels")),
    )
    each = "json_each_text" if op.get_bind().dialect.name == "postgresql" else "json_each"
    op.execute(
        "INSERT INTO job_labels (job_id, key, value)"
        f" SELECT jobs.id, label.key, label.value FROM jobs, {each}(jobs.labels) AS label"
    )
    op.create_index("ix_job_labels_key_value_job_id", "job_labels", ["key", "value", "job_id"])
    op.create_index("ix_job_labels_key_job_id", "job_labels", ["key", "job_id"])
    op.create_table(
        "status_changes",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("jobs", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_changes")),
    )
    op.execute(
        "INSERT INTO status_changes (status, jobs)"
        " SELECT status, count(*) FROM jobs GROUP BY status"
    )
    op.create_table(
        "metric_views",
        sa.Column("chunk_id", Number, autoincrement=False, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["chunk_id"],
            ["metric_chunks.id"],
            name=op.f("fk_metric_views_chunk_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("chunk_id", name=op.f("pk_metric_views")),
    )


def downgrade() -> None:
    """Go one step back."""
    _write_steps_out()
    for table in ("metric_views", "status_changes", "job_labels"):
        op.drop_table(table)
    for column in FILTERS:
        op.drop_index(f"ix_jobs_{column}_id", "jobs")
    op.drop_index("ix_jobs_id_name", "jobs")


def _write_steps_out() -> None:
    """Put the steps back into chunks that leave even ones out, as the version before reads them."""
    connection = op.get_bind()
    number, points = sa.column("id", sa.BigInteger), sa.column("count", sa.Integer)
    first, last = sa.column("first_step", sa.BigInteger), sa.column("last_step", sa.BigInteger)
    keys, data = sa.column("keys", sa.JSON), sa.column("data", sa.LargeBinary)
    chunks = sa.table("metric_chunks", number, points, first, last, keys, data)
    page = sa.select(number, points, first, last, keys, data).order_by(number).limit(CHUNKS)
    done = 0
    while rows := connection.execute(page.where(number > done)).mappings().all():
        for row in rows:
            done, count, names = row["id"], row["count"], row["keys"]
            begin, end, content = row["first_step"], row["last_step"], row["data"]
            if len(content) != 4 * count * len(names):
                continue
            stride = (end - begin) // max(count - 1, 1)
            steps = (begin + place * stride for place in range(count))
            written = b"".join(step.to_bytes(8, "little", signed=True) for step in steps)
            connection.execute(
                sa.update(chunks).where(number == done).values(data=written + content)
            )
