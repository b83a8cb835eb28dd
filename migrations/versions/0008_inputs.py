"""What clients bring: datasets and models, uploads in parts, and which job uses what.

Revision ID: 0008
Revises: 0007
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

Moment = sa.DateTime(timezone=True)
THERE = sa.text("deleted_at IS NULL")


def upgrade() -> None:
    """Go one step forward."""
    op.create_table(
        "inputs",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("media_type", sa.String(length=127), nullable=False),
        sa.Column("location", sa.String(length=255), nullable=False),
        sa.Column("created_by", sa.String(length=20), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("deleted_at", Moment, nullable=True),
        sa.CheckConstraint("kind IN ('dataset', 'model')", name=op.f("ck_inputs_kind_known")),
        sa.CheckConstraint("size_bytes >= 0", name=op.f("ck_inputs_size_not_negative")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_inputs_sha256_complete")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inputs")),
    )
    op.create_index(
        "ix_inputs_content",
        "inputs",
        ["project", "kind", "sha256"],
        unique=True,
        sqlite_where=THERE,
        postgresql_where=THERE,
    )
    op.create_index(op.f("ix_inputs_project_kind_id"), "inputs", ["project", "kind", "id"])
    op.create_table(
        "job_inputs",
        sa.Column("job_id", sa.String(length=30), nullable=False),
        sa.Column("input_id", sa.String(length=30), nullable=False),
        sa.ForeignKeyConstraint(
            ["job_id"], ["jobs.id"], name=op.f("fk_job_inputs_job_id"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["input_id"], ["inputs.id"], name=op.f("fk_job_inputs_input_id")
        ),
        sa.PrimaryKeyConstraint("job_id", "input_id", name=op.f("pk_job_inputs")),
    )
    op.create_index(op.f("ix_job_inputs_input_id"), "job_inputs", ["input_id"])
    op.create_table(
        "uploads",
        sa.Column("id", sa.String(length=30), nullable=False),
        sa.Column("project", sa.String(length=63), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("part_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=True),
        sa.Column("created_by", sa.String(length=20), nullable=True),
        sa.Column("created_at", Moment, nullable=False),
        sa.Column("expires_at", Moment, nullable=False),
        sa.Column("input_id", sa.String(length=30), nullable=True),
        sa.CheckConstraint("kind IN ('dataset', 'model')", name=op.f("ck_uploads_kind_known")),
        sa.CheckConstraint("size_bytes > 0", name=op.f("ck_uploads_size_positive")),
        sa.CheckConstraint("part_bytes > 0", name=op.f("ck_uploads_part_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_project_id"), "uploads", ["project", "id"])
    op.create_index(op.f("ix_uploads_expires_at"), "uploads", ["expires_at"])
    op.create_table(
        "upload_parts",
        sa.Column("upload_id", sa.String(length=30), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("location", sa.String(length=255), nullable=False),
        sa.CheckConstraint("number > 0", name=op.f("ck_upload_parts_number_positive")),
        sa.CheckConstraint("length(sha256) = 64", name=op.f("ck_upload_parts_sha256_complete")),
        sa.ForeignKeyConstraint(
            ["upload_id"],
            ["uploads.id"],
            name=op.f("fk_upload_parts_upload_id"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("upload_id", "number", name=op.f("pk_upload_parts")),
    )


def downgrade() -> None:
    """Go one step back; the files themselves become orphans, and are collected."""
    for table in ("upload_parts", "uploads", "job_inputs", "inputs"):
        op.drop_table(table)
