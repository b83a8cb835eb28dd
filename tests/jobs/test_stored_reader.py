"""Content of a store reads like a file, from anywhere."""

from __future__ import annotations

import io
import random
import uuid
from pathlib import Path

import pytest
from s3_server import S3Server, settings_of

from jobs.artifacts import Delivery
from jobs.settings import Settings
from jobs.stored_reader import open_stored
from jobs.stores import open_store

CONTENT = random.Random(2).randbytes(300_000)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_content_reads_like_a_file(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    settings = Settings(data=tmp_path)
    if kind == "s3":
        server: S3Server = request.getfixturevalue("s3_server")
        settings = settings.model_copy(update=settings_of(server, server.make_bucket()))
    store = open_store(settings)
    inlet = store.receive(f"ds_{uuid.uuid4().hex[:26]}", 0, "it.bin")
    inlet.write(CONTENT)
    location = inlet.finish(Delivery("it.bin", "input", len(CONTENT), "", "text/plain"))
    draw = random.Random(3)
    plain = io.BytesIO(CONTENT)
    with open_stored(store, location, len(CONTENT)) as stored:
        for _ in range(40):
            whence = draw.choice([io.SEEK_SET, io.SEEK_END])
            offset = draw.randrange(len(CONTENT) + 9) * (-1 if whence == io.SEEK_END else 1)
            if whence == io.SEEK_END and -offset > len(CONTENT):
                with pytest.raises(OSError, match="Invalid argument"):
                    stored.seek(offset, whence)
                continue
            assert stored.seek(offset, whence) == plain.seek(offset, whence)
            size = draw.choice([1, 20, 70_000, -1])
            assert stored.read(size) == plain.read(size)
            assert stored.tell() == plain.tell()
