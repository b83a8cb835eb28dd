"""Which split of a saved data set is which part."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

from pydantic import Field

from kdcore.entry import Record
from kdcore.errors import DataError
from kdcore.events import Warned
from kdcore.inputs import InputPath
from kdcore.reading.arrow_folders import Saved, open_saved

SplitName = Annotated[str, Field(min_length=1, max_length=255)]


class SavedParts(Record):
    """A folder written by `save_to_disk`, with one split or several."""

    path: InputPath
    """The folder that `save_to_disk` of `datasets` wrote, relative to the inputs folder."""
    train_split: SplitName = "train"
    """The split to train on; a folder without splits is this one."""
    test_split: SplitName | None = None
    """The split to test on; where it is not given, `test` if there is one, and else `test_share` is
    drawn."""
    validation_split: SplitName | None = None
    """The split for validation; where it is not given, `validation` if there is one that is not
    tested on."""

    def opened(self, inputs: Path, held: ExitStack) -> tuple[dict[str, Saved], list[Warned]]:
        """Open the splits by part; what is of no part is told.

        Raises:
            DataError: there is no such folder or split.
        """
        splits = open_saved(inputs, self.path, held)
        asked = {
            "train": self.train_split if len(splits) > 1 else next(iter(splits)),
            "test": self.test_split,
            "validation": self.validation_split,
        }
        for part in ("test", "validation"):
            if asked[part] is None and part in splits and part not in asked.values():
                asked[part] = part
        named = {part: name for part, name in asked.items() if name is not None}
        if absent := [name for name in named.values() if name not in splits]:
            raise DataError(
                f"{self.path}: no split {', '.join(map(repr, absent))}; found "
                f"{', '.join(map(repr, splits))}",
                hint="name the splits in data.train_split and data.test_split",
            )
        if len(set(named.values())) < len(named):
            raise DataError(f"{self.path}: found one split for two parts; expected one for each")
        unread = sorted(set(splits) - set(named.values()))
        beside = Warned(
            code="splits_left_out",
            message=f"{self.path}: the splits {', '.join(map(repr, unread))} are of no part; left "
            "out",
            hint="name them in data.test_split or data.validation_split if they are meant",
        )
        return {part: splits[name] for part, name in named.items()}, [beside] if unread else []
