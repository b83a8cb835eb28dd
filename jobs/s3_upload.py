"""One file into a bucket: whole or in parts, each part with its sha256."""

import base64
import contextlib
import hashlib
import logging
from typing import Any, BinaryIO, Final

from jobs.artifacts import Delivery
from jobs.errors import StoreUnavailable

PART_BYTES = 16 << 20
"""Larger files go in parts of this size, one of which is in memory at a time."""
_MOST_PARTS: Final = 10_000

log = logging.getLogger(__name__)


class Upload:
    """A file on its way to a key that nobody sees before all of it has arrived."""

    def __init__(self, client: Any, bucket: str, key: str, delivery: Delivery) -> None:
        """Prepare to send what was announced."""
        self._client = client
        self._where = {"Bucket": bucket, "Key": key}
        self._delivery = delivery
        self.is_confirmed = True
        """Whether the server itself said for every byte which sha256 it has found."""

    def send(self, content: BinaryIO) -> None:
        """Send the file, if it is what was announced.

        Raises:
            ArtifactRefused: it is not; the key stays as it was.
            StoreUnavailable: the server has found other bytes than were sent.
        """
        size = self._delivery.size_bytes
        if size <= PART_BYTES:
            block = content.read(size + 1)
            self._delivery.check(len(block), hashlib.sha256(block).hexdigest())
            self._send(self._client.put_object, block, ContentType=self._delivery.media_type)
        else:
            self._send_in_parts(content, max(PART_BYTES, -(-size // _MOST_PARTS)))

    def _send_in_parts(self, content: BinaryIO, part_bytes: int) -> None:
        begun = self._client.create_multipart_upload(
            **self._where, ChecksumAlgorithm="SHA256", ContentType=self._delivery.media_type
        )
        upload = {"UploadId": begun["UploadId"]}
        try:
            digest = hashlib.sha256()
            size = 0
            parts: list[dict[str, Any]] = []
            while block := content.read(part_bytes):
                digest.update(block)
                size += len(block)
                if size > self._delivery.size_bytes:
                    break
                number = {"PartNumber": len(parts) + 1}
                answer = self._send(self._client.upload_part, block, **upload, **number)
                told = {"ETag": answer["ETag"], "ChecksumSHA256": sha256_of(block)}
                parts.append(number | told)
            self._delivery.check(size, digest.hexdigest())
            self._client.complete_multipart_upload(
                **self._where, **upload, MultipartUpload={"Parts": parts}
            )
        except BaseException:
            # What cannot be aborted now, a collector finds later.
            with contextlib.suppress(Exception):
                self._client.abort_multipart_upload(**self._where, **upload)
            raise

    def _send(self, send: Any, block: bytes, **more: Any) -> Any:
        answer, is_confirmed = sent(send, block, **self._where, **more)
        self.is_confirmed &= is_confirmed
        return answer


def sent(send: Any, block: bytes, **more: Any) -> tuple[Any, bool]:
    """Send a block with its sha256; return the answer, and whether the server confirmed that.

    Raises:
        StoreUnavailable: the server has found other bytes than were sent.
    """
    digest = sha256_of(block)
    answer = send(**more, Body=block, ChecksumAlgorithm="SHA256", ChecksumSHA256=digest)
    found = answer.get("ChecksumSHA256")
    if found not in {None, digest}:
        raise StoreUnavailable(
            f"{more['Key'].rpartition('/')[2]}: the artifact store has found other bytes than were"
            " sent",
            hint="it is sent again; see the network if this stays so",
        )
    return answer, found is not None


def sha256_of(block: bytes) -> str:
    """Return a block's sha256 as S3 writes it."""
    return base64.b64encode(hashlib.sha256(block).digest()).decode()
