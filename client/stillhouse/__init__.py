"""Stillhouse: the Python client and command line of a distillation service.

Example:
    with Client("http://127.0.0.1:8000") as client:
        job = client.submit({"method": "kd", ...})
        for event in client.watch(job["id"]):
            print(event["type"], event["data"])
        client.download(job["id"], "out/")

The same for asyncio:
    async with AsyncClient("http://127.0.0.1:8000") as client:
        job = await client.submit({"method": "kd", ...})
        async for event in client.watch(job["id"]):
            print(event["type"], event["data"])
        await client.download(job["id"], "out/")
"""

from typing import TYPE_CHECKING

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

if TYPE_CHECKING:
    from stillhouse.aio import AsyncClient

__all__ = [
    "ApiError",
    "AsyncClient",
    "Client",
    "DigestMismatch",
    "FieldError",
    "SpecError",
    "StillhouseError",
    "Unreachable",
    "WaitTimedOut",
]


def __getattr__(name: str) -> object:
    """Give the client for asyncio to whoever asks: commands start faster without it."""
    if name == "AsyncClient":
        from stillhouse.aio import AsyncClient

        return AsyncClient
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
