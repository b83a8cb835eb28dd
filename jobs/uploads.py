"""Uploads in parts: begun, gone on with, completed, given up; what is left alone expires."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from jobs.formats import InputKind
from jobs.ids import new_id
from jobs.input_errors import ContentRefused, UploadIncomplete, UploadNotFound
from jobs.input_tables import Input, Upload, UploadPart
from jobs.inputs import Brought, Inputs
from jobs.moments import clock
from jobs.receiving import Received


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client is going to upload in parts."""

    kind: InputKind
    name: str
    size_bytes: int
    sha256: str | None = None


class Uploads(Inputs):
    """Uploads that are not complete; bound to a project, only its own."""

    def begin_upload(
        self, project: str, wanted: Wanted, *, part_bytes: int, seconds: float, by: str | None
    ) -> tuple[Upload, bool]:
        """Begin an upload; return it, and whether it is a new one.

        Whoever announces the same file with its sha256 again goes on with the one that there is.
        """
        if wanted.sha256 is not None:
            same = select(Upload).where(
                Upload.project == project,
                Upload.kind == wanted.kind,
                Upload.name == wanted.name,
                Upload.size_bytes == wanted.size_bytes,
                Upload.sha256 == wanted.sha256,
                Upload.input_id.is_(None),
            )
            if known := self._session.scalar(same.order_by(Upload.id.desc()).limit(1)):
                self.renew_upload(known.id, seconds)
                return known, False
        upload_id = new_id("upl")
        self._session.execute(
            insert(Upload).values(
                id=upload_id,
                project=project,
                kind=wanted.kind,
                name=wanted.name,
                size_bytes=wanted.size_bytes,
                part_bytes=part_bytes,
                sha256=wanted.sha256,
                created_by=by,
                created_at=clock(),
                expires_at=clock(seconds),
            )
        )
        return self.upload(upload_id), True

    def upload(self, upload_id: str) -> Upload:
        """Return an upload.

        Raises:
            UploadNotFound: there is none.
        """
        row = self._session.get(Upload, upload_id, populate_existing=True)
        if row is None or self._project not in {None, row.project}:
            raise UploadNotFound(upload_id)
        return row

    def uploads(self, limit: int, before: str | None = None) -> Sequence[Upload]:
        """Return uploads that are not complete, the newest first, in front of the id `before`."""
        rows = select(Upload).where(Upload.input_id.is_(None))
        if before is not None:
            rows = rows.where(Upload.id < before)
        if self._project is not None:
            rows = rows.where(Upload.project == self._project)
        return self._session.scalars(rows.order_by(Upload.id.desc()).limit(limit)).all()

    def parts(self, upload_id: str) -> Sequence[UploadPart]:
        """Return the parts that have arrived, in their order."""
        rows = select(UploadPart).where(UploadPart.upload_id == upload_id)
        return self._session.scalars(rows.order_by(UploadPart.number)).all()

    def keep_part(self, upload_id: str, number: int, received: Received, seconds: float) -> None:
        """Note a part that lies in the store; one that comes again takes the place of the first.

        Raises:
            UploadNotFound: the upload was given up, or is complete.
        """
        if not self.renew_upload(upload_id, seconds):
            raise UploadNotFound(upload_id)
        this = (UploadPart.upload_id == upload_id, UploadPart.number == number)
        self._session.execute(delete(UploadPart).where(*this))
        self._session.execute(
            insert(UploadPart).values(
                upload_id=upload_id,
                number=number,
                size_bytes=received.size_bytes,
                sha256=received.sha256,
                location=received.location,
            )
        )

    def renew_upload(self, upload_id: str, seconds: float) -> bool:
        """Push an upload's end back, which locks it; tell whether it is there and not complete."""
        renewed = self._connection.execute(
            update(Upload)
            .where(Upload.id == upload_id, Upload.input_id.is_(None))
            .values(expires_at=clock(seconds))
        )
        return bool(renewed.rowcount)

    def finish_upload(self, upload: Upload, brought: Brought) -> tuple[Input, bool]:
        """Note the file that an upload's parts became, and clear these away.

        Raises:
            UploadNotFound: the upload was given up meanwhile.
        """
        self._session.execute(select(Upload.id).where(Upload.id == upload.id).with_for_update())
        self.upload(upload.id)
        row, is_new = self.keep_input(upload.project, brought)
        self._session.execute(update(Upload).where(Upload.id == upload.id).values(input_id=row.id))
        self._drop_parts([upload.id])
        return row, is_new

    def drop_part(self, upload_id: str, number: int) -> None:
        """Forget a part that must come again."""
        this = (UploadPart.upload_id == upload_id, UploadPart.number == number)
        self._session.execute(delete(UploadPart).where(*this))

    def drop_upload(self, upload_id: str) -> Upload:
        """Give an upload up; what has arrived of it is cleared away after the commit.

        Raises:
            UploadNotFound: there is none.
        """
        upload = self.upload(upload_id)
        self._drop_parts([upload_id])
        self._session.execute(delete(Upload).where(Upload.id == upload_id))
        return upload

    def expire_uploads(self, limit: int) -> Sequence[str]:
        """Give up uploads that were left alone for too long, and return their ids."""
        due = select(Upload.id).where(Upload.expires_at < clock()).order_by(Upload.expires_at)
        ids = self._session.scalars(due.limit(limit).with_for_update(skip_locked=True)).all()
        if ids:
            self._drop_parts(ids)
            self._session.execute(delete(Upload).where(Upload.id.in_(ids)))
        return ids

    def _drop_parts(self, upload_ids: Sequence[str]) -> None:
        gone = delete(UploadPart).where(UploadPart.upload_id.in_(upload_ids))
        self._condemn(self._connection.scalars(gone.returning(UploadPart.location)).all())


def parts_of(upload: Upload) -> int:
    """Return how many parts an upload has in all."""
    return -(-upload.size_bytes // upload.part_bytes)


def part_size(upload: Upload, number: int) -> int:
    """Return how many bytes a part has.

    Raises:
        ContentRefused: the upload has no part of this number.
    """
    if not 1 <= number <= parts_of(upload):
        raise ContentRefused(
            f"found the number {number} of a part; expected 1 to {parts_of(upload)}",
            code="no_such_part",
        )
    return min(upload.part_bytes, upload.size_bytes - (number - 1) * upload.part_bytes)


def require_whole(upload: Upload, parts: Sequence[UploadPart]) -> None:
    """Refuse to complete an upload that lacks parts.

    Raises:
        UploadIncomplete: it does; the parts are named.
    """
    missing = sorted(set(range(1, parts_of(upload) + 1)) - {part.number for part in parts})
    if missing:
        raise UploadIncomplete(upload.id, missing)
