"""Datasets and models that clients bring: kept once for each content, listed, used, deleted."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from jobs.bulk import insert_rows
from jobs.formats import InputKind
from jobs.input_errors import InputDeleted, InputInUse, InputNotFound, TooLarge
from jobs.input_tables import Input, JobInput, Upload, UploadPart
from jobs.inspection_tables import Inspection, InspectionInput
from jobs.journal import Journal
from jobs.moments import clock
from jobs.receiving import Received
from jobs.references import path_of
from jobs.states import TERMINAL
from jobs.tables import Job
from jobs.tombstones import CondemnedFile

MOST_NAMED = 6
"""Jobs that are told to be in the way of a deletion."""


@dataclass(frozen=True, slots=True)
class Brought:
    """A file that lies in the store and is to be known from now on."""

    id: str
    kind: InputKind
    name: str
    media_type: str
    received: Received
    by: str | None = None
    """Id of the key that brought it."""


@dataclass(frozen=True, slots=True)
class Used:
    """A file that a job names, as a worker needs it."""

    name: str
    size_bytes: int
    sha256: str
    location: str
    """Empty where the ledger does not know the file any more."""
    path: str
    """Where the recipe looks for it."""
    is_folder: bool = False
    """Whether it is a zip of the folder that the recipe looks for."""


class Inputs(Journal):
    """What clients bring; bound to a project, only its own."""

    def keep_input(self, project: str, brought: Brought) -> tuple[Input, bool]:
        """Note a file that lies in the store; return its row, and whether it is a new one.

        Where the project has this content already, the file is cleared away.
        """
        if (known := self._by_content(project, brought)) is None:
            try:
                with self._session.begin_nested():
                    self._session.execute(
                        insert(Input).values(
                            id=brought.id,
                            project=project,
                            kind=brought.kind,
                            name=brought.name,
                            size_bytes=brought.received.size_bytes,
                            sha256=brought.received.sha256,
                            media_type=brought.media_type,
                            location=brought.received.location,
                            created_by=brought.by,
                            created_at=clock(),
                        )
                    )
            except IntegrityError:
                # The same content was brought at the same moment.
                if (known := self._by_content(project, brought)) is None:
                    raise
            else:
                return self.input(brought.kind, brought.id), True
        self._condemn([brought.received.location])
        return known, False

    def _by_content(self, project: str, brought: Brought) -> Input | None:
        return self._session.scalar(
            select(Input).where(
                Input.project == project,
                Input.kind == brought.kind,
                Input.sha256 == brought.received.sha256,
                Input.deleted_at.is_(None),
            )
        )

    def input(self, kind: str, input_id: str) -> Input:
        """Return a dataset or a model.

        Raises:
            InputNotFound: there is none; InputDeleted where there was one.
        """
        row = self._session.get(Input, input_id, populate_existing=True)
        if row is None or row.kind != kind or self._project not in {None, row.project}:
            raise InputNotFound(kind, input_id)
        if row.deleted_at is not None:
            raise InputDeleted(kind, input_id, row.deleted_at)
        return row

    def inputs(  # noqa: PLR0913  # one argument a filter
        self,
        kind: str,
        *,
        limit: int,
        before: str | None = None,
        sha256: str | None = None,
        name: str | None = None,
        oldest_first: bool = False,
    ) -> Sequence[Input]:
        """Return datasets or models, the newest first, in front of the id `before`.

        With `oldest_first` they stand the other way round.
        """
        rows = select(Input).where(Input.kind == kind, Input.deleted_at.is_(None))
        if self._project is not None:
            rows = rows.where(Input.project == self._project)
        if before is not None:
            rows = rows.where(Input.id > before if oldest_first else Input.id < before)
        if sha256 is not None:
            rows = rows.where(Input.sha256 == sha256)
        if name is not None:
            rows = rows.where(Input.name == name)
        order = Input.id.asc() if oldest_first else Input.id.desc()
        return self._session.scalars(rows.order_by(order).limit(limit)).all()

    def delete_input(self, kind: str, input_id: str) -> Input:
        """Forget a file, and what was found out of it.

        What the store has of it is cleared away after the commit.

        Raises:
            InputNotFound: there is none.
            InputInUse: jobs that have not ended need it.
        """
        # Locked first: a job that comes at this moment is seen, or finds it gone.
        self._session.execute(select(Input.id).where(Input.id == input_id).with_for_update())
        row = self.input(kind, input_id)
        using = self._session.scalars(
            select(Job.id)
            .join(JobInput, JobInput.job_id == Job.id)
            .where(JobInput.input_id == input_id, Job.status.not_in(list(TERMINAL)))
            .order_by(Job.id)
            .limit(MOST_NAMED)
        ).all()
        if using:
            raise InputInUse(kind, input_id, using)
        looked = select(InspectionInput.inspection_id).where(InspectionInput.input_id == input_id)
        self._session.execute(delete(Inspection).where(Inspection.id.in_(looked)))
        self._condemn([row.location])
        self._session.execute(update(Input).where(Input.id == input_id).values(deleted_at=clock()))
        return row

    def require_storage(self, more_bytes: int, most: int | None) -> None:
        """Refuse what a project may not keep beside all that it keeps.

        Raises:
            TooLarge: it may not.
        """
        if most is None:
            return
        kept = self.stored_bytes()
        if kept + more_bytes > most:
            raise TooLarge(
                f"found {more_bytes:,} bytes beside {kept:,} that the project keeps; expected no"
                f" more than {most:,} in all",
                code="stored_bytes_exceeded",
                hint="delete datasets and models that are not needed any more, or have"
                " STILLHOUSE_STORED_BYTES raised",
            )

    def stored_bytes(self) -> int:
        """Return what uploads take, those that are not complete as well."""
        inputs = select(func.coalesce(func.sum(Input.size_bytes), 0)).where(
            Input.deleted_at.is_(None)
        )
        parts = select(func.coalesce(func.sum(UploadPart.size_bytes), 0)).join(
            Upload, Upload.id == UploadPart.upload_id
        )
        if self._project is not None:
            inputs = inputs.where(Input.project == self._project)
            parts = parts.where(Upload.project == self._project)
        return int(self._session.scalar(inputs) or 0) + int(self._session.scalar(parts) or 0)

    def named_inputs(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Input]:
        """Return those of the files that there are, and were, by kind and id.

        In the place of its id a file may be named by its sha256, as long as it is there.
        """
        ids, kinds = {one for _, one in names}, {kind for kind, _ in names}
        of_content = Input.sha256.in_(ids) & Input.deleted_at.is_(None)
        rows = select(Input).where(Input.kind.in_(kinds), Input.id.in_(ids) | of_content)
        if self._project is not None:
            rows = rows.where(Input.project == self._project)
        found = list(self._session.scalars(rows))
        by_content = {(row.kind, row.sha256): row for row in found if row.deleted_at is None}
        return by_content | {(row.kind, row.id): row for row in found}

    def used_by(self, job_id: str) -> list[Used]:
        """Return the files that a job names."""
        return self.used(select(JobInput.input_id).where(JobInput.job_id == job_id))

    def used(self, ids: Select[str]) -> list[Used]:
        """Return files by their ids, as a worker needs them."""
        rows = self._session.execute(
            select(Input.name, Input.size_bytes, Input.sha256, Input.location, Input.kind).where(
                Input.id.in_(ids)
            )
        )
        return [
            Used(
                name,
                size_bytes,
                sha256,
                location,
                path_of(sha256, name),
                is_folder=kind == "model" and name.endswith(".zip"),
            )
            for name, size_bytes, sha256, location, kind in rows
        ]

    def _condemn(self, locations: Sequence[str]) -> None:
        if locations:
            rows = [{"location": location} for location in locations]
            self._connection.execute(insert(CondemnedFile), rows)


def note_uses(connection: Connection, uses: Sequence[tuple[str, str]]) -> None:
    """Note which jobs, just stored, need which files.

    Raises:
        InputNotFound: a file was deleted since it was looked for.
    """
    if not uses:
        return
    require_inputs(connection, {input_id for _, input_id in uses})
    rows = [{"job_id": job_id, "input_id": input_id} for job_id, input_id in uses]
    insert_rows(connection, JobInput, rows)


def require_inputs(connection: Connection, wanted: Collection[str]) -> None:
    """See that files are there, and that nobody deletes them before this transaction ends.

    Raises:
        InputNotFound: one was deleted since it was looked for.
    """
    # Read under a lock that whoever deletes one wants, too.
    there = select(Input.id, Input.kind).where(Input.id.in_(wanted), Input.deleted_at.is_(None))
    found = {row.id for row in connection.execute(there.with_for_update(read=True))}
    for missing in sorted(set(wanted) - found):
        raise InputNotFound("model" if missing.startswith("mdl_") else "dataset", missing)
