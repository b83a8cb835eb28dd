"""What all tables share, for SQLite and PostgreSQL alike."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Integer, MetaData, Text
from sqlalchemy.orm import DeclarativeBase

from jobs.moments import UtcTime

Number = BigInteger().with_variant(Integer, "sqlite")
"""A number that the database counts up itself, which SQLite does for its own integers alone."""


class Table(DeclarativeBase):
    """A table, with one naming rule for constraints, so that migrations can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {datetime: UtcTime, dict[str, Any]: JSON(none_as_null=True), str: Text}
