"""Data without labels: what a run cannot do with it, and who answers in their place.

Where no training sample has a label the teacher alone teaches, so it must know already. Where no
test or validation sample has one, the teacher's answers stand for them.
"""

from __future__ import annotations

from typing import Final, Literal

from kdcore.corpus import Corpus
from kdcore.errors import RecipeError
from kdcore.recipe import Recipe
from kdcore.tensors import is_known

PARTS: Final[tuple[Literal["test", "validation"], ...]] = ("test", "validation")
"""Those whose labels a teacher's answers may stand for."""


def check_without_labels(recipe: Recipe, corpus: Corpus) -> None:
    """Refuse what needs labels, now that the data is read and has none.

    Raises:
        RecipeError: a network is to be trained on labels, or the teacher's answers are to stand for
            labels and it has none yet.
    """
    untaught = not is_known(corpus.train.labels).any()
    unmeasured = [part for part in PARTS if corpus.lacks_labels(part)]
    if not recipe.teacher.given and (untaught or unmeasured):
        what = ", ".join(["training"] * untaught + unmeasured)
        raise RecipeError(
            f"found no label in the {what} part, and a teacher that is yet to be trained; expected "
            "one that knows already and answers in their place",
            hint="name teacher.weights, or a model that comes trained (onnx, huggingface, "
            "artifact), or label some samples",
            pointer="/teacher",
        )
    if not untaught or not recipe.task.learns_labels:
        return
    if recipe.baseline.enabled:
        raise RecipeError(
            "found a baseline, which learns from labels alone, and no label in the training part; "
            "expected baseline: false",
            hint="set baseline to false, or label some training samples",
            pointer="/baseline",
        )
    if not recipe.data.unlabelled:
        raise RecipeError(
            "found data.unlabelled false, and no training sample with a label; expected true",
            hint="leave data.unlabelled out",
            pointer="/data/unlabelled",
        )
