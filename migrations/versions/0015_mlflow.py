"""Jobs as runs of MLflow.

Revision ID: 0015
Revises: 0014
"""

import sqlalchemy as sa
from alembic import op

from jobs.moments import UtcTime

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "mlflow_mirrors",
        sa.Column("mirror", sa.String(length=128), nullable=False),
        sa.Column("seen_at", UtcTime(), nullable=False),
        sa.PrimaryKeyConstraint("mirror", name=op.f("pk_mlflow_mirrors")),
    )
    op.create_table(
        "mlflow_runs",
        sa.Column("job_id", sa.String(length=30), nullable=False),
        sa.Column("experiment_id", sa.String(length=64), nullable=True),
        sa.Column("run_id", sa.String(length=256), nullable=True),
        sa.Column("told", sa.String(length=9), nullable=True),
        sa.Column("position", sa.JSON(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("moment", UtcTime(), nullable=True),
        sa.Column("model", sa.String(length=256), nullable=True),
        sa.Column("version", sa.String(length=32), nullable=True),
        sa.Column("news", sa.Integer(), nullable=False),
        sa.Column("token", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("next_at", UtcTime(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=True),
        sa.CheckConstraint(
            "told IN ('RUNNING', 'FINISHED', 'FAILED', 'KILLED')",
            name=op.f("ck_mlflow_runs_told_known"),
        ),
        sa.CheckConstraint(
            "(model IS NULL) = (version IS NULL)", name=op.f("ck_mlflow_runs_version_of_model")
        ),
        sa.PrimaryKeyConstraint("job_id", name=op.f("pk_mlflow_runs")),
    )
    waits = sa.text("next_at IS NOT NULL")
    op.create_index(
        "ix_mlflow_runs_due",
        "mlflow_runs",
        ["next_at"],
        sqlite_where=waits,
        postgresql_where=waits,
    )


def downgrade() -> None:
    """Go one step back."""
    op.drop_table("mlflow_runs")
    op.drop_table("mlflow_mirrors")
