"""Writes messages.jsonl and tokenizer.json: made-up messages to a shop, and a tokenizer for them.

    python examples/texts.py stillhouse-data/inputs

The spec beside this file hides most labels from the student, so that there is something to distil.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import json
import random
import sys
from pathlib import Path
from typing import Any, Final

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

TOPICS: Final = {
    "billing": "invoice charge refund card payment twice bank fee receipt discount amount price",
    "delivery": "parcel courier late tracking address arrived box missing door shipped route depot",
    "login": "password account reset email code locked browser username screen expired session",
    "quality": "broken scratch colour faded seam loose cracked smell button torn stain thin",
}
PLAIN: Final = (
    "hello i have a question about my last order please tell me what to do because it was not as "
    "i thought and now we wait since monday thanks for your help it is really quite odd that again "
    "nobody from the shop has written to us this week so can you look at it soon"
)
TRAIN, TEST, VOCABULARY = 1200, 400, 400
OWN, OTHERS = 0.2, 0.1
SPECIAL: Final = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def messages() -> list[dict[str, Any]]:
    """Return messages: few of their words are of their topic, and fewer of any."""
    draw = random.Random(7)  # noqa: S311  # made-up text, no secret
    words = {topic: line.split() for topic, line in TOPICS.items()}
    plain, everything = PLAIN.split(), [word for line in words.values() for word in line]
    rows: list[dict[str, Any]] = []
    for place in range(TRAIN + TEST):
        topic = draw.choice(list(words))
        text = [
            draw.choice(
                words[topic] if kind < OWN else everything if kind < OWN + OTHERS else plain
            )
            for kind in (draw.random() for _ in range(draw.randint(6, 16)))
        ]
        part = "train" if place < TRAIN else "test"
        rows.append({"text": " ".join(text), "topic": topic, "part": part})
    return rows


def tokenizer(texts: list[str]) -> Tokenizer:
    """Return word pieces as BERT has them, trained on texts."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))  # noqa: S106  # a token of text
    made.normalizer = normalizers.BertNormalizer(lowercase=True)  # pyright: ignore[reportAttributeAccessIssue]
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()  # pyright: ignore[reportAttributeAccessIssue]
    trainer = trainers.WordPieceTrainer(
        vocab_size=VOCABULARY, special_tokens=SPECIAL, show_progress=False
    )
    made.train_from_iterator(texts, trainer)
    ends = [(name, made.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(  # pyright: ignore[reportAttributeAccessIssue]
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    return made


def main(folder: Path) -> None:
    """Write both files into `folder`."""
    rows = messages()
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row) for row in rows]
    (folder / "messages.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    texts = [row["text"] for row in rows if row["part"] == "train"]
    tokenizer(texts).save(str(folder / "tokenizer.json"))
    sys.stdout.write(f"{folder / 'messages.jsonl'} {folder / 'tokenizer.json'}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "stillhouse-data/inputs"))
