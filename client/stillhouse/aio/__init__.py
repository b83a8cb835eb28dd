"""The client for asyncio; `AsyncClient` stands in `stillhouse` as well.

These modules are the source. `scripts/unasync.py` makes of each the module of the same name one
folder up, for programs without asyncio: change these, and run it.
"""

from stillhouse.aio.client import AsyncClient

__all__ = ["AsyncClient"]
