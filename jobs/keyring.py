"""The keys of the house and of its projects: made, listed, used, revoked."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import exists, select, update

from jobs.errors import KeyNotFound
from jobs.keys import NewKey, Scope, digest, new_key
from jobs.moments import clock
from jobs.projects import Projects
from jobs.tables import ApiKey

USED_SECONDS = 60.0
"""How exactly it is known when a key was last used."""


class Keyring(Projects):
    """Keys; bound to a project, only its own."""

    def add_key(
        self,
        name: str,
        scope: Scope,
        *,
        project: str | None,
        days: int | None = None,
        created_by: str | None = None,
    ) -> tuple[ApiKey, NewKey]:
        """Make a key for a project, or without one for the house; its text is told here alone.

        Raises:
            ProjectNotFound: there is no such project.
        """
        if project is not None:
            self.project(project)
        now = self._now()
        expires_at = None if days is None else now + timedelta(days=days)
        return self._keep(
            name=name,
            scope=scope.value,
            project=project,
            created_at=now,
            created_by=created_by,
            expires_at=expires_at,
        )

    def begin_session(self, key_id: str, days: int) -> tuple[ApiKey, NewKey]:
        """Make a key for a browser: as good as the one that it showed, and not for longer.

        Raises:
            KeyNotFound: there is no such key.
        """
        shown, now = self.key(key_id), self._now()
        over = now + timedelta(days=days)
        return self._keep(
            name="browser",
            scope=shown.scope,
            project=shown.project,
            created_at=now,
            created_by=key_id,
            session_of=key_id,
            expires_at=over if shown.expires_at is None else min(over, shown.expires_at),
        )

    def _now(self) -> datetime:
        return self._session.scalars(select(clock())).one()

    def _keep(self, **columns: Any) -> tuple[ApiKey, NewKey]:
        made = new_key()
        row = ApiKey(id=made.id, sha256=digest(made.text), **columns)
        self._session.add(row)
        self._session.flush()
        return row, made

    def api_keys(self) -> Sequence[ApiKey]:
        """Return the keys, the newest first."""
        rows = select(ApiKey).order_by(ApiKey.created_at.desc(), ApiKey.id)
        if self._project is not None:
            rows = rows.where(ApiKey.project == self._project)
        return self._session.scalars(rows).all()

    def key(self, key_id: str) -> ApiKey:
        """Return one key.

        Raises:
            KeyNotFound: there is none.
        """
        row = self._session.get(ApiKey, key_id, populate_existing=True)
        if row is None or self._project not in {None, row.project}:
            raise KeyNotFound(key_id)
        return row

    def revoke(self, key_id: str) -> ApiKey:
        """Have a key, and the sessions that began with it, open nothing any more.

        Again changes nothing.

        Raises:
            KeyNotFound: there is none.
        """
        self.key(key_id)
        self._session.execute(
            update(ApiKey)
            .where((ApiKey.id == key_id) | (ApiKey.session_of == key_id))
            .where(ApiKey.revoked_at.is_(None))
            .values(revoked_at=clock())
        )
        return self.key(key_id)

    def has_keys(self) -> bool:
        """Say whether a key was ever made: from then on, everybody is asked for one."""
        return bool(self._session.scalar(select(exists().select_from(ApiKey))))

    def touch_key(self, key_id: str) -> None:
        """Note that a key was used, at most once a minute."""
        self._session.execute(
            update(ApiKey)
            .where(ApiKey.id == key_id)
            .where(ApiKey.last_used_at.is_(None) | (ApiKey.last_used_at < clock(-USED_SECONDS)))
            .values(last_used_at=clock())
            .execution_options(synchronize_session=False)
        )
