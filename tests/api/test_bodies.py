"""A body that is taken as plain at a glance has no flaw that the long look would find."""

from __future__ import annotations

import json
import random
from typing import Any

from api import bodies
from jobs.documents import MAX_DEPTH, MAX_VALUES, DocumentTooLarge, find_flaws

WORDS = ["a", "ü", "🥃", "\\", '"', "[{,", "\0", "\ud800", "NaN"]
NUMBERS = ["1", "-0.5", "1e400", "9" * 30, "NaN", "-Infinity", "true", "null"]


def written(chance: random.Random, depth: int = 0) -> str:
    """Return a JSON text by chance; some have flaws."""
    kind = chance.random()
    if depth > 4 or kind < 0.3:
        return chance.choice(NUMBERS if chance.random() < 0.1 else NUMBERS[:2])
    if kind < 0.5:
        return json.dumps(chance.choice(WORDS), ensure_ascii=chance.random() < 0.3)
    inner = [written(chance, depth + 1) for _ in range(chance.randrange(5))]
    if kind < 0.75:
        return f"[{', '.join(inner)}]"
    keys = [json.dumps(chance.choice(WORDS)) for _ in inner]
    return "{" + ", ".join(f"{key}: {one}" for key, one in zip(keys, inner, strict=True)) + "}"


def is_flawless(document: object) -> bool:
    try:
        return not list(find_flaws(document))
    except DocumentTooLarge:
        return False


def glance(text: str) -> tuple[bool, bool]:
    """Return whether a text is taken as plain, and whether it has no flaws."""
    content = text.encode("utf-8", "replace")
    document: Any = bodies._DECODER.decode(content.decode())  # pyright: ignore[reportPrivateUsage]
    return bodies._is_plain(content, document), is_flawless(document)  # pyright: ignore[reportPrivateUsage]


def test_what_is_plain_at_a_glance_has_no_flaws() -> None:
    chance = random.Random(4)
    found: list[tuple[bool, bool]] = []
    for _ in range(5_000):
        try:
            found.append(glance(written(chance)))
        except json.JSONDecodeError:
            continue
    assert not [one for one in found if one == (True, False)]
    assert found.count((True, True)) > 1000
    assert found.count((False, False)) > 100


def test_what_is_large_or_deep_is_looked_at_for_long() -> None:
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH
    wide = f"[{','.join('1' * (MAX_VALUES - 1))}]"
    assert glance(deep) == glance(wide) == (True, True)
    assert glance(f"[{deep}]")[0] is glance(wide.replace("[", "[1,"))[0] is False
