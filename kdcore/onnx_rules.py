"""What an ONNX file may hold to be run: operators that the standard has."""

from __future__ import annotations

from typing import Final

STANDARD_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Where operators come from; any other is code that somebody would have to load."""
