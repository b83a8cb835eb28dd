"""Files of earlier jobs that later ones begin with.

Revision ID: 0011
Revises: 0008
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "job_files",
        sa.Column("job_id", sa.String(length=30), nullable=False),
        sa.Column("source_id", sa.String(length=30), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_files_job_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("job_id", "source_id", "name", name=op.f("pk_job_files")),
    )
    op.create_index(op.f("ix_job_files_source_id"), "job_files", ["source_id"])


def downgrade() -> None:
    """Go one step back."""
    op.drop_table("job_files")
