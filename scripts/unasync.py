"""Makes the client for programs without asyncio out of the one for asyncio.

    python scripts/unasync.py            writes client/stillhouse/<module>.py anew
    python scripts/unasync.py --check    writes nothing; says which of them are not current

What is awaited is called, and what is asynchronous loses the word: nothing else is changed, so the
two clients are one text. Needs ruff, which lays out what was shortened.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

_CLIENT = Path(__file__).resolve().parents[1] / "client" / "stillhouse"
_HEAD = "# Made of aio/{name} by scripts/unasync.py: change that one.\n"
_RULES = (
    # A thread keeps the event loop free; without one, the call is the call.
    (r"await asyncio\.to_thread\(\s*([\w.]+)(?:,\s*)?", r"\1("),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"^import asyncio$", "import time"),
    (r"\bawait ", ""),
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\basync(contextmanager)\b", r"\1"),
    (r"\ba(close|closing|iter_raw|read)\b", r"\1"),
    (r"\bAsync(?=[A-Z])", ""),
    (r"\bstillhouse\.aio\.", "stillhouse."),
    (r"for (\w+) in (\w+):\n +yield \1$", r"yield from \2"),
)


def modules() -> list[Path]:
    """Return the modules that are the source."""
    return sorted(path for path in (_CLIENT / "aio").glob("*.py") if path.name != "__init__.py")


def without_asyncio(text: str) -> str:
    """Return a module's text for programs without asyncio, not laid out yet."""
    for pattern, instead in _RULES:
        text = re.sub(pattern, instead, text, flags=re.MULTILINE)
    return text


def made(source: Path) -> str:
    """Return what is made of a module, laid out."""
    text = _HEAD.format(name=source.name) + without_asyncio(source.read_text(encoding="utf-8"))
    target = str(_CLIENT / source.name)  # whose rules it is laid out by
    for words in (["check", "--select", "F401,I", "--fix", "--quiet"], ["format", "--quiet"]):
        ruff = ["ruff", *words, "--stdin-filename", target, "-"]
        text = subprocess.run(  # noqa: S603 - ruff, by its name, as all checks call it
            ruff, input=text, capture_output=True, text=True, check=True
        ).stdout
    return text


def main() -> None:
    """Write what is not current, or say so."""
    old = [
        (target, text)
        for source in modules()
        if (text := made(source)) != _read(target := _CLIENT / source.name)
    ]
    if "--check" in sys.argv[1:]:
        if old:
            names = ", ".join(target.name for target, _ in old)
            sys.exit(f"not current: {names}; run python scripts/unasync.py")
        return
    for target, text in old:
        target.write_text(text, encoding="utf-8")


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    main()
