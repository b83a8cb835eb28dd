"""Stillhouse: the Python client and command line of a distillation service.

Example:
    with Client("http://127.0.0.1:8000") as client:
        job = client.submit({"method": "kd", ...})
        for event in client.watch(job["id"]):
            print(event["type"], event["data"])
        client.download(job["id"], "out/")
"""

from stillhouse.client import Client
from stillhouse.errors import (
    ApiError,
    DigestMismatch,
    FieldError,
    SpecError,
    StillhouseError,
    Unreachable,
    WaitTimedOut,
)

__all__ = [
    "ApiError",
    "Client",
    "DigestMismatch",
    "FieldError",
    "SpecError",
    "StillhouseError",
    "Unreachable",
    "WaitTimedOut",
]
