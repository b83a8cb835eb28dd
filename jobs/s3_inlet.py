"""Content of unknown length on its way into a bucket: in parts, one of which is in memory."""

import contextlib
from collections.abc import Callable
from typing import Any, Final

from jobs.artifacts import Delivery
from jobs.s3_bucket import Bucket
from jobs.s3_upload import PART_BYTES, sent, sha256_of

_SLOWER_GROWTH: Final = 1000
"""Parts of one size, before they become larger: S3 takes 10,000 of them."""


class S3Inlet:
    """An object whose key shows nothing before all of it is there."""

    def __init__(
        self, client: Any, bucket: Bucket, location: str, look_again: Callable[[Delivery], None]
    ) -> None:
        """Begin; nothing is sent before there is a part, or all of a small file.

        `look_again` reads back what a server without checksums has kept.
        """
        self._client = client
        self._bucket = bucket
        self._location = location
        self._where = {"Bucket": bucket.name, "Key": bucket.prefix + location}
        self._look_again = look_again
        self._waiting = bytearray()
        self._upload: dict[str, str] | None = None
        self._parts: list[dict[str, Any]] = []
        self._is_confirmed = True

    def write(self, block: bytes) -> None:
        """Take the next bytes; see `Inlet`."""
        self._waiting += block
        # 16 MiB a thousand times, then twice as much, and so on: 10,000 parts hold terabytes.
        most = PART_BYTES << min(len(self._parts) // _SLOWER_GROWTH, 5)
        while len(self._waiting) >= most:
            part = bytes(memoryview(self._waiting)[:most])
            del self._waiting[:most]
            self._send_part(part)

    def finish(self, delivery: Delivery) -> str:
        """Send the rest, and complete; see `Inlet`."""
        with self._bucket.named_errors():
            if self._upload is None:
                self._send(
                    self._client.put_object,
                    bytes(self._waiting),
                    ContentType=delivery.media_type,
                )
            else:
                if self._waiting:
                    self._send_part(bytes(self._waiting))
                self._client.complete_multipart_upload(
                    **self._where, **self._upload, MultipartUpload={"Parts": self._parts}
                )
                self._upload = None
        self._waiting.clear()
        if not self._is_confirmed:
            self._look_again(delivery)
        return self._location

    def abandon(self) -> None:
        """Abort what was begun."""
        self._waiting.clear()
        if self._upload is not None:
            # What cannot be aborted now, a collector finds later.
            with contextlib.suppress(Exception):
                self._client.abort_multipart_upload(**self._where, **self._upload)

    def _send_part(self, block: bytes) -> None:
        with self._bucket.named_errors():
            if self._upload is None:
                begun = self._client.create_multipart_upload(
                    **self._where, ChecksumAlgorithm="SHA256"
                )
                self._upload = {"UploadId": begun["UploadId"]}
            number = {"PartNumber": len(self._parts) + 1}
            answer = self._send(self._client.upload_part, block, **self._upload, **number)
            told = {"ETag": answer["ETag"], "ChecksumSHA256": sha256_of(block)}
            self._parts.append(number | told)

    def _send(self, send: Any, block: bytes, **more: Any) -> Any:
        answer, is_confirmed = sent(send, block, **self._where, **more)
        self._is_confirmed &= is_confirmed
        return answer
