"""What is found out of data, models and specs before a job.

Revision ID: 0013
Revises: 0012
"""

import sqlalchemy as sa
from alembic import op

from jobs.moments import UtcTime

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "inspections",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("question", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(length=8), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("losses", sa.Integer(), nullable=False),
        sa.Column("lease_until", UtcTime(), nullable=True),
        sa.Column("result", sa.JSON(), nullable=True),
        sa.Column("failure", sa.JSON(), nullable=True),
        sa.Column("created_by", sa.String(length=20), nullable=True),
        sa.Column("created_at", UtcTime(), nullable=False),
        sa.Column("asked_at", UtcTime(), nullable=False),
        sa.Column("finished_at", UtcTime(), nullable=True),
        sa.CheckConstraint(
            "kind IN ('dataset_report', 'model_layers', 'preflight')",
            name=op.f("ck_inspections_kind_known"),
        ),
        sa.CheckConstraint(
            "state IN ('queued', 'running', 'done', 'failed')",
            name=op.f("ck_inspections_state_known"),
        ),
        sa.CheckConstraint(
            "(state = 'running') = (lease_until IS NOT NULL)",
            name=op.f("ck_inspections_lease_while_running"),
        ),
        sa.CheckConstraint(
            "(state IN ('done', 'failed')) = (finished_at IS NOT NULL)",
            name=op.f("ck_inspections_end_when_ended"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inspections")),
    )
    op.create_index("ix_inspections_question", "inspections", ["project", "digest"], unique=True)
    op.create_index(op.f("ix_inspections_state_id"), "inspections", ["state", "id"])
    op.create_index(op.f("ix_inspections_asked_at"), "inspections", ["asked_at"])
    op.create_table(
        "inspection_inputs",
        sa.Column("inspection_id", sa.String(length=30), nullable=False),
        sa.Column("input_id", sa.String(length=30), nullable=False),
        sa.ForeignKeyConstraint(
            ["inspection_id"],
            ["inspections.id"],
            name=op.f("fk_inspection_inputs_inspection_id"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["input_id"], ["inputs.id"], name=op.f("fk_inspection_inputs_input_id")
        ),
        sa.PrimaryKeyConstraint("inspection_id", "input_id", name=op.f("pk_inspection_inputs")),
    )
    op.create_index(op.f("ix_inspection_inputs_input_id"), "inspection_inputs", ["input_id"])


def downgrade() -> None:
    """Go one step back."""
    op.drop_table("inspection_inputs")
    op.drop_table("inspections")
