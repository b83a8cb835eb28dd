"""Whether a worker is to take no more jobs, and what becomes of those that it runs.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

CHECKS = {
    "drain_mode_known": "drain_mode IN ('finish', 'save')",
    "drain_mode_while_draining": "(draining_since IS NULL) = (drain_mode IS NULL)",
}


def upgrade() -> None:
    """Go one step forward."""
    with op.batch_alter_table("workers") as workers:
        workers.add_column(sa.Column("draining_since", sa.DateTime(timezone=True), nullable=True))
        workers.add_column(sa.Column("drain_mode", sa.String(length=8), nullable=True))
        for name, condition in CHECKS.items():
            workers.create_check_constraint(op.f(f"ck_workers_{name}"), condition)


def downgrade() -> None:
    """Go one step back."""
    with op.batch_alter_table("workers") as workers:
        for name in CHECKS:
            workers.drop_constraint(op.f(f"ck_workers_{name}"), type_="check")
        workers.drop_column("drain_mode")
        workers.drop_column("draining_since")
