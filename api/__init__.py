"""The door: HTTP routes, server-sent events, downloads and the first pages. Never imports torch."""

from typing import Final

VERSION: Final = "0.1.0"
