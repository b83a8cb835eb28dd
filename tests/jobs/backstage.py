"""What a store does not know of: what really lies there, and what may happen to it."""

import hashlib
import random
from pathlib import Path
from typing import Any, Protocol

from jobs.artifacts import ArtifactStore, Delivery
from jobs.folder_store import FolderStore
from jobs.s3_store import S3Store

CONTENT = random.Random(7).randbytes(3_000_000)


def announced(name: str = "student.bin", content: bytes = CONTENT) -> Delivery:
    """Return what a trainer says of a file."""
    digest = hashlib.sha256(content).hexdigest()
    return Delivery(name, "student", len(content), digest, "application/octet-stream")


class Backstage(Protocol):
    """The other side of a store."""

    store: ArtifactStore

    def names(self) -> list[str]:
        """Return everything that lies there, unfinished things as well."""
        ...

    def overwrite(self, location: str, content: bytes) -> None:
        """Put other bytes there, as a bad disk would."""
        ...

    def plant(self, path: str, content: bytes) -> None:
        """Put a file there that is not ours."""
        ...


class FolderBackstage:
    """A folder."""

    def __init__(self, store: FolderStore) -> None:
        """Look behind a store."""
        self.store = store

    def names(self) -> list[str]:
        """Return all files, hidden ones as well."""
        files = [path for path in self.store.root.rglob("*") if path.is_file()]
        return sorted(str(path.relative_to(self.store.root)) for path in files)

    def overwrite(self, location: str, content: bytes) -> None:
        """Write over the file."""
        (self.store.root / location).write_bytes(content)

    def plant(self, path: str, content: bytes) -> None:
        """Write a file."""
        file = Path(self.store.root, path)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


class S3Backstage:
    """A bucket."""

    def __init__(self, store: S3Store, client: Any) -> None:
        """Look behind a store with a client of its own."""
        self.store = store
        self._client = client
        self._bucket = store.bucket.name
        self._prefix = store.bucket.prefix

    def names(self) -> list[str]:
        """Return all keys and all uploads that have not ended."""
        listed = self._client.list_objects_v2(Bucket=self._bucket).get("Contents", [])
        begun = self._client.list_multipart_uploads(Bucket=self._bucket).get("Uploads", [])
        return sorted(
            [entry["Key"].removeprefix(self._prefix) for entry in listed]
            + [f"unfinished {entry['Key'].removeprefix(self._prefix)}" for entry in begun]
        )

    def overwrite(self, location: str, content: bytes) -> None:
        """Put another object there."""
        self.plant(location, content)

    def plant(self, path: str, content: bytes) -> None:
        """Put an object."""
        self._client.put_object(Bucket=self._bucket, Key=self._prefix + path, Body=content)
