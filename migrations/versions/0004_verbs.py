"""Where a clone comes from, which files the retention time took, and what stays of what is gone.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
KEPT = sa.text("finished_at IS NOT NULL AND artifacts_purged_at IS NULL")


def upgrade() -> None:
    """Go one step forward."""
    op.add_column("jobs", sa.Column("cloned_from", sa.String(length=30), nullable=True))
    op.add_column("jobs", sa.Column("artifacts_purged_at", Moment, nullable=True))
    op.create_index(
        "ix_jobs_kept", "jobs", ["finished_at"], sqlite_where=KEPT, postgresql_where=KEPT
    )
    op.create_table(
        "deleted_jobs",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("deleted_at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deleted_jobs")),
    )
    op.create_table(
        "condemned_files",
        sa.Column("location", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("location", name=op.f("pk_condemned_files")),
    )


def downgrade() -> None:
    """Go one step back."""
    op.drop_table("condemned_files")
    op.drop_table("deleted_jobs")
    op.drop_index("ix_jobs_kept", "jobs")
    op.drop_column("jobs", "artifacts_purged_at")
    op.drop_column("jobs", "cloned_from")
