"""An artifact store in a bucket of any server that speaks S3."""

import contextlib
import hashlib
from collections.abc import Iterator
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from jobs.artifacts import (
    CHUNK_BYTES,
    LOCATION,
    Content,
    Delivery,
    Stored,
    checked_location,
    location_of,
    open_plain_file,
)
from jobs.errors import ArtifactNotFound, StoreUnavailable
from jobs.s3_bucket import Bucket
from jobs.s3_client import connect
from jobs.s3_inlet import S3Inlet
from jobs.s3_upload import Upload

_PING = ".ping"
PAGE_KEYS = 1000
"""How many keys one answer lists."""


class S3Store:
    """Keeps content under `<prefix>/<location>`; a key shows nothing before all of it is there."""

    def __init__(self, bucket: Bucket) -> None:
        """Keep everything in that bucket; nothing is sent yet."""
        self.bucket = bucket

    @cached_property
    def _probe(self) -> Any:
        return connect(self.bucket, "probe")

    @cached_property
    def _prompt(self) -> Any:
        return connect(self.bucket, "prompt")

    @cached_property
    def _patient(self) -> Any:
        return connect(self.bucket, "patient")

    @cached_property
    def _public(self) -> Any:
        return connect(self.bucket, "prompt", public=True)

    def _where(self, location: str) -> dict[str, str]:
        return {"Bucket": self.bucket.name, "Key": self.bucket.prefix + location}

    def prepare(self) -> None:
        """Write and delete a key, and list.

        Raises:
            StoreMisconfigured: no boto3, no such bucket, no credentials, or not enough rights.
        """
        client = self._prompt
        with self.bucket.named_errors():
            client.put_object(**self._where(_PING), Body=b"")
            client.delete_object(**self._where(_PING))
        next(self.list(), None)

    def ping(self) -> None:
        """Ask for the bucket."""
        client = self._probe
        with self.bucket.named_errors():
            client.head_bucket(Bucket=self.bucket.name)

    def put(self, job_id: str, attempt: int, delivery: Delivery, source: Path) -> str:
        """Copy a file into the store; see `ArtifactStore`."""
        location = location_of(job_id, attempt, delivery.name)
        client, where = self._patient, self._where(location)
        with open_plain_file(source) as content:
            upload = Upload(client, where["Bucket"], where["Key"], delivery)
            with self.bucket.named_errors():
                upload.send(content)
        if not upload.is_confirmed:
            self._look_again(location, delivery)
        return location

    def receive(self, owner: str, number: int, name: str) -> S3Inlet:
        """Begin to take in content of unknown length; see `ArtifactStore`."""
        location = location_of(owner, number, name)
        return S3Inlet(self._prompt, self.bucket, location, partial(self._look_again, location))

    def _look_again(self, location: str, delivery: Delivery) -> None:
        """Read back what a server without checksums has kept, before anybody relies on it."""
        digest = hashlib.sha256()
        with self.open(location) as content:
            while block := content.read(CHUNK_BYTES):
                digest.update(block)
        if digest.hexdigest() != delivery.sha256:
            self.delete(location)
            raise StoreUnavailable(
                f"{delivery.name}: the artifact store keeps other bytes than were sent",
                hint="it is sent again; see the store and the network if this stays so",
            )

    def size(self, location: str) -> int:
        """Return how many bytes are kept at a location."""
        client, where = self._prompt, self._where(checked_location(location))
        with self.bucket.named_errors(gone=_name(location)):
            return int(client.head_object(**where)["ContentLength"])

    def open(self, location: str, first: int = 0, end: int | None = None) -> Content:
        """Open the content at a location; see `ArtifactStore`."""
        client, where = self._prompt, self._where(checked_location(location))
        is_part = first > 0 or end is not None
        last = "" if end is None else end - 1
        asked = {"Range": f"bytes={first}-{last}"} if is_part else {}
        with self.bucket.named_errors(gone=_name(location)):
            answer = client.get_object(**where, **asked)
        size = int(
            answer["ContentRange"].rpartition("/")[2]
            if "ContentRange" in answer
            else answer["ContentLength"]
        )
        body = _Body(answer["Body"], self.bucket)
        if is_part and "ContentRange" not in answer:
            # A server may answer a range with everything.
            body.skip(first)
        return Content(body, size, first, end)

    def link(self, location: str, name: str, seconds: int) -> str | None:
        """Return a presigned URL; see `ArtifactStore`."""
        client, where = self._public, self._where(checked_location(location))
        shown = {
            "ResponseContentDisposition": f'attachment; filename="{name}"',
            # There is no nosniff on that server's answer: nothing in it may look like a page.
            "ResponseContentType": "application/octet-stream",
            "ResponseCacheControl": "private, no-cache",
        }
        with self.bucket.named_errors():
            return str(
                client.generate_presigned_url("get_object", Params=where | shown, ExpiresIn=seconds)
            )

    def delete(self, location: str) -> None:
        """Remove the content."""
        client, where = self._prompt, self._where(checked_location(location))
        name = _name(location)
        with contextlib.suppress(ArtifactNotFound), self.bucket.named_errors(gone=name):
            client.delete_object(**where)

    def list(self, under: str = "", after: str = "") -> Iterator[Stored]:
        """Yield what is kept, ordered by key."""
        prefix = self.bucket.prefix
        more: dict[str, Any] = {"StartAfter": prefix + after} if after else {}
        asked = {"Bucket": self.bucket.name, "Prefix": prefix + (f"{under}/" if under else "")}
        for entry in self._pages("list_objects_v2", "Contents", asked | more):
            if LOCATION.fullmatch(location := entry["Key"].removeprefix(prefix)):
                yield Stored(location, entry["LastModified"])

    def unfinished(self) -> Iterator[Stored]:
        """Yield uploads in parts that were begun and have not ended."""
        prefix = self.bucket.prefix
        asked = {"Bucket": self.bucket.name, "Prefix": prefix}
        for entry in self._pages("list_multipart_uploads", "Uploads", asked):
            if LOCATION.fullmatch(location := entry["Key"].removeprefix(prefix)):
                yield Stored(location, entry["Initiated"], upload=entry["UploadId"])

    def discard(self, unfinished: Stored) -> None:
        """Abort an upload in parts."""
        client, where = self._prompt, self._where(checked_location(unfinished.location))
        name = _name(unfinished.location)
        with contextlib.suppress(ArtifactNotFound), self.bucket.named_errors(gone=name):
            client.abort_multipart_upload(**where, UploadId=unfinished.upload)

    def _pages(self, operation: str, field: str, asked: dict[str, Any]) -> Iterator[Any]:
        with self.bucket.named_errors():
            pages = self._prompt.get_paginator(operation).paginate(
                **asked, PaginationConfig={"PageSize": PAGE_KEYS}
            )
            for page in pages:
                yield from page.get(field, ())


class _Body:
    """A response's body, whose failures are told in the ledger's words."""

    def __init__(self, body: Any, bucket: Bucket) -> None:
        self._body = body
        self._bucket = bucket

    def read(self, size: int) -> bytes:
        with self._bucket.named_errors():
            return self._body.read(size)

    def skip(self, size: int) -> None:
        while size > 0 and (piece := self.read(min(size, CHUNK_BYTES))):
            size -= len(piece)

    def close(self) -> None:
        self._body.close()


def _name(location: str) -> str:
    return location.rpartition("/")[2]
