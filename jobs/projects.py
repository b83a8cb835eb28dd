"""Projects: who shares the house, and how much of it each may take."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from jobs.errors import ProjectExists, ProjectFull, ProjectNotFound
from jobs.journal import Journal, standing
from jobs.moments import clock
from jobs.states import Status
from jobs.tables import Project

PROJECT_NAME: Final = re.compile(r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")
"""As a label in the name of a host: it stands in headers, paths and folders."""


class Projects(Journal):
    """Projects and their limits."""

    def add_project(
        self, name: str, *, max_running: int | None = None, max_waiting: int | None = None
    ) -> Project:
        """Make a project.

        Raises:
            ProjectExists: there is one of this name.
        """
        values = {"name": name, "max_running": max_running, "max_waiting": max_waiting}
        try:
            with self._session.begin_nested():
                self._session.execute(insert(Project).values(**values, created_at=clock()))
        except IntegrityError as error:
            raise ProjectExists(name) from error
        return self.project(name)

    def project(self, name: str) -> Project:
        """Return a project.

        Raises:
            ProjectNotFound: there is none, or it is not the one that this repository is bound to.
        """
        row = None
        if self._project in {None, name}:
            row = self._session.get(Project, name, populate_existing=True)
        if row is None:
            raise ProjectNotFound(name)
        return row

    def projects(self) -> Sequence[Project]:
        """Return the projects, by name."""
        rows = select(Project).order_by(Project.name)
        if self._project is not None:
            rows = rows.where(Project.name == self._project)
        return self._session.scalars(rows).all()

    def usage(self) -> Counter[tuple[str, str]]:
        """Return how many jobs of each project there are in each status."""
        return standing(self._connection, self._project)

    def limit_project(self, name: str, limits: Mapping[str, int | None]) -> Project:
        """Set `max_running` or `max_waiting`; None is no limit. What runs already goes on.

        Raises:
            ProjectNotFound: there is no such project.
        """
        row = self.project(name)
        for limit, value in limits.items():
            setattr(row, limit, value)
        self._session.flush()
        return row


def require_room(connection: Connection, project: str, jobs: int = 1) -> None:
    """Refuse jobs that a project may not have waiting beside those that it has.

    Several servers that take jobs in at the same moment may each let one more pass.

    Raises:
        ProjectFull: it may not.
    """
    most = connection.scalar(select(Project.max_waiting).where(Project.name == project))
    if most is None:
        return
    waiting = standing(connection, project)[project, Status.QUEUED]
    if waiting + jobs > most:
        raise ProjectFull(project, waiting, most)
