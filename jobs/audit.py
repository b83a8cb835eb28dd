"""The audit: who did what to what, written in the very transaction that did it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select

from jobs.journal import Journal
from jobs.moments import clock
from jobs.tables import AuditEntry


@dataclass(frozen=True, slots=True)
class Author:
    """Who does something, and by which request."""

    key_id: str | None = None
    address: str | None = None
    request_id: str | None = None


class Audit(Journal):
    """Lines that are only ever added; the database itself refuses anything else."""

    def note(
        self,
        author: Author,
        action: str,
        subject: str,
        *,
        project: str | None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Write down that somebody did something."""
        self._session.execute(
            insert(AuditEntry).values(
                at=clock(),
                project=project,
                key_id=author.key_id,
                address=author.address,
                request_id=author.request_id,
                action=action,
                subject=subject[:128],
                details=dict(details or {}),
            )
        )

    def audited(
        self, *, before: int | None = None, subject: str | None = None, limit: int = 100
    ) -> Sequence[AuditEntry]:
        """Return what was written down, the newest first, in front of the number `before`."""
        rows = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
        if self._project is not None:
            rows = rows.where(AuditEntry.project == self._project)
        if before is not None:
            rows = rows.where(AuditEntry.id < before)
        if subject is not None:
            rows = rows.where(AuditEntry.subject == subject)
        return self._session.scalars(rows).all()
