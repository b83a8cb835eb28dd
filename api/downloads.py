"""Files on their way out: resumable ranges, digests that can be checked, zips without copies."""

from __future__ import annotations

import base64
import hashlib
import itertools
import re
import zipfile
from collections.abc import Iterator, Sequence
from typing import Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from api.problems import Problem
from api.stored_file import CHUNK_BYTES, StoredFile
from jobs.artifacts import Content

CAGE: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox"
"""Content-Security-Policy of a page made of others' words: it may do nothing here, even if somebody
had written into it."""
_RANGE: Final = re.compile(r"bytes=[ \t]*(\d{0,18})-(\d{0,18})[ \t]*", re.IGNORECASE)
_ZIP64_BYTES: Final = 1 << 31


def matches(if_none_match: str | None, etag: str) -> bool:
    """Return whether a client already has what `etag` names (weak comparison, as RFC 9110 asks)."""
    if if_none_match is None:
        return False
    tags = [tag.strip().removeprefix("W/") for tag in if_none_match.split(",")]
    return "*" in tags or etag.removeprefix("W/") in tags


class Download(StreamingResponse):
    """One artifact, whole or from where an earlier download broke off."""

    def __init__(self, file: StoredFile, asked: Headers, *, head: bool) -> None:
        """Prepare to send what the request's headers ask for; `head` sends no content.

        Raises:
            ArtifactNotFound: the content is gone.
            Problem: 410 for other content than was stored, 416 for a range outside of it.
            StoreUnavailable: the store does not answer.
        """
        part = _part(asked, file)
        first, end = part or (0, file.size_bytes)
        digest = base64.b64encode(bytes.fromhex(file.sha256)).decode()
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "private, no-cache",
            "Content-Disposition": f'attachment; filename="{file.name}"',
            "Content-Length": str(end - first),
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "ETag": file.etag,
            "Repr-Digest": f"sha-256=:{digest}:",
        }
        if part:
            headers["Content-Range"] = f"bytes {first}-{end - 1}/{file.size_bytes}"
        status = 206 if part else 200
        self._content: Content | None = None
        pieces: Iterator[bytes] = iter(())
        if head:
            file.check()
        elif part:
            self._content = file.open(first, end)
            pieces = iter(lambda content=self._content: content.read(CHUNK_BYTES), b"")
        else:
            self._content = file.open()
            pieces = self._begun(file.verified(self._content))
        super().__init__(pieces, status, headers, media_type=file.media_type)

    def _begun(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """Read the first piece now: damage to a small file is then told, and not cut short."""
        try:
            return itertools.chain([next(pieces)], pieces)
        except BaseException:
            self._let_go()
            raise

    async def stream_response(self, send: Send) -> None:
        """Send the content, and let go of the file however that ends."""
        try:
            await super().stream_response(send)
        finally:
            self._let_go()

    def _let_go(self) -> None:
        if self._content is not None:
            self._content.close()


def _part(asked: Headers, file: StoredFile) -> tuple[int, int] | None:
    """Return the first byte and the one after the last; None for the whole file.

    What is no range of bytes, and several ranges at once, are left aside as RFC 9110 14.2 allows.
    """
    wanted = _RANGE.fullmatch(asked.get("range", ""))
    validator = asked.get("if-range", file.etag)
    if wanted is None or validator != file.etag or wanted.groups() == ("", ""):
        return None
    start, last = wanted.groups()
    if not start:
        first, end = max(file.size_bytes - int(last), 0), file.size_bytes
    else:
        first = int(start)
        end = min(int(last) + 1, file.size_bytes) if last else file.size_bytes
        if last and int(last) < first:
            return None
    if first >= file.size_bytes or first >= end:
        raise Problem(
            416,
            "range_not_satisfiable",
            f"found Range {asked['range'][:80]!r}; the file has {file.size_bytes} bytes",
            headers={"Content-Range": f"bytes */{file.size_bytes}"},
        )
    return first, end


def send_file(request: Request, file: StoredFile, presigned_seconds: int | None) -> Response:
    """Return the answer to a GET or HEAD of a file; with seconds, where it lies in a bucket.

    Raises what `Download` raises.
    """
    if matches(request.headers.get("if-none-match"), file.etag):
        return Response(status_code=304, headers={"ETag": file.etag})
    is_head = request.method == "HEAD"
    if not is_head and presigned_seconds is not None:
        link = file.link(presigned_seconds)
        if link is not None:
            # Whoever has it has the file, so no cache may keep it.
            return Response(
                status_code=307, headers={"Location": link, "Cache-Control": "no-store"}
            )
    return Download(file, request.headers, head=is_head)


def checksums(files: Sequence[StoredFile]) -> str:
    """Return the lines that `sha256sum --check` reads."""
    return "".join(f"{file.sha256}  {file.name}\n" for file in files)


def archive_etag(files: Sequence[StoredFile]) -> str:
    """Return the validator of the zip of these files: it changes with any content or name."""
    return f'"{hashlib.sha256(checksums(files).encode()).hexdigest()}"'


class _Outlet:
    """A write-only file that hands on what was written; zipfile then cannot seek and need not."""

    def __init__(self) -> None:
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        return len(data)

    def flush(self) -> None:
        """Do nothing: the reader takes when it likes."""

    def take(self) -> bytes:
        taken = bytes(self._waiting)
        self._waiting.clear()
        return taken


def archive(files: Sequence[StoredFile]) -> Iterator[bytes]:
    """Yield a zip of the files and their checksums, not deflated, since weights do not shrink.

    Memory stays at one chunk, nothing is written to the disk; the same files give the same bytes.

    Raises:
        Exception: a file went away or was changed; the archive is then cut short, never wrong.
    """
    outlet = _Outlet()
    with zipfile.ZipFile(outlet, "w", zipfile.ZIP_STORED) as zipped:  # type: ignore[arg-type]
        for file in files:
            entry = zipfile.ZipInfo(file.name, file.created_at.timetuple()[:6])
            entry.external_attr = 0o644 << 16
            with (
                file.open() as content,
                zipped.open(entry, "w", force_zip64=file.size_bytes >= _ZIP64_BYTES) as target,
            ):
                for piece in file.verified(content):
                    target.write(piece)
                    yield outlet.take()
        zipped.writestr(zipfile.ZipInfo("SHA256SUMS", (1980, 1, 1, 0, 0, 0)), checksums(files))
        yield outlet.take()
    yield outlet.take()
