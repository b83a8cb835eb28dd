"""Sweeps: what is tried, and which job tries it.

Revision ID: 0012
Revises: 0011
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "sweeps",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("name", sa.String(length=150), nullable=True),
        sa.Column("status", sa.String(length=9), nullable=False),
        sa.Column("body", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("idempotency_key", sa.String(length=64), nullable=True),
        sa.Column("body_sha256", sa.String(length=64), nullable=True),
        sa.Column("created_by", sa.String(length=20), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("ended_at", Moment, nullable=True),
        sa.Column("ended_for", sa.String(length=16), nullable=True),
        sa.CheckConstraint(
            "status IN ('running', 'completed', 'cancelled')",
            name=op.f("ck_sweeps_status_known"),
        ),
        sa.CheckConstraint(
            "(status = 'running') = (ended_at IS NULL)",
            name=op.f("ck_sweeps_ended_with_status"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sweeps")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_sweeps_idempotency_key")),
    )
    op.create_index(op.f("ix_sweeps_project_id"), "sweeps", ["project", "id"])
    op.create_index(op.f("ix_sweeps_status"), "sweeps", ["status"])
    op.create_table(
        "trials",
        sa.Column("sweep_id", sa.String(length=30), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("rung", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=7), nullable=False),
        sa.Column("point", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("sent", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("recipe", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("needs", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("job_id", sa.String(length=30), nullable=True),
        sa.Column("reason", sa.JSON(none_as_null=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('held', 'pending', 'started', 'refused')",
            name=op.f("ck_trials_state_known"),
        ),
        sa.CheckConstraint(
            "(state = 'started') = (job_id IS NOT NULL)",
            name=op.f("ck_trials_started_with_job"),
        ),
        sa.ForeignKeyConstraint(
            ["sweep_id"],
            ["sweeps.id"],
            name=op.f("fk_trials_sweep_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("sweep_id", "number", "rung", name=op.f("pk_trials")),
    )
    op.create_index(op.f("ix_trials_job_id"), "trials", ["job_id"])


def downgrade() -> None:
    """Go one step back."""
    for table in ("trials", "sweeps"):
        op.drop_table(table)
