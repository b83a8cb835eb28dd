"""What operators see: sweepers' rounds, tallies of how long things took, trainers' logs, about workers.

Revision ID: 0006
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

Number = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
Moment = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Go one step forward."""
    op.add_column("workers", sa.Column("about", sa.JSON(), nullable=True))
    op.create_table(
        "sweeper_rounds",
        sa.Column("sweeper", sa.String(length=128), nullable=False),
        sa.Column("at", Moment, nullable=False),
        sa.PrimaryKeyConstraint("sweeper", name=op.f("pk_sweeper_rounds")),
    )
    op.create_table(
        "tallies",
        sa.Column("id", Number, autoincrement=True, nullable=False),
        sa.Column("series", sa.String(length=32), nullable=False),
        sa.Column("label", sa.String(length=96), nullable=False),
        sa.Column("bucket", sa.Integer(), nullable=False),
        sa.Column("count", sa.BigInteger(), nullable=False),
        sa.Column("seconds", sa.Double[float](), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tallies")),
    )
    op.create_table(
        "trainer_logs",
        sa.Column("job_id", sa.String(length=30), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("head", sa.LargeBinary(), nullable=False),
        sa.Column("left_out", sa.BigInteger(), nullable=False),
        sa.Column("tail", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id", "attempt"],
            ["attempts.job_id", "attempts.attempt"],
            name=op.f("fk_trainer_logs_job_id_attempt"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("job_id", "attempt", name=op.f("pk_trainer_logs")),
    )


def downgrade() -> None:
    """Go one step back."""
    for table in ("trainer_logs", "tallies", "sweeper_rounds"):
        op.drop_table(table)
    with op.batch_alter_table("workers") as workers:
        workers.drop_column("about")
