"""The sentences under the table: what was measured, and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.results.asked import REFERENCE
from benchmarks.results.rows import Facts, Row, Scale
from kdcore.recipe import Recipe
from kdcore.verdict import Interval

_AGAINST = {
    "baseline": "the student alone",
    "hard_labels": "the student alone with the teacher's best classes for labels",
    REFERENCE: "plain KD",
}
_SAID = {
    "beats": "better",
    "ties": "as good within the margin",
    "loses": "worse",
    "inconclusive": "not told apart",
}


def claims(controls: Sequence[Row], methods: Sequence[Row], scale: Scale) -> Iterator[str]:
    """Sort the methods by how they compare with the student alone, with controls, and with KD."""
    against = [row.name for row in controls] + [REFERENCE]
    for other in against:
        compared = [row for row in methods if other in row.differences]
        if compared:
            yield from _compared(other, compared, scale)
    lost = sorted(
        row.name for row in methods if scale.word(row.differences.get("baseline")) != "beats"
    )
    if lost:
        yield f"- No gain over training the student alone was shown for {_names(lost)}."
    for row in methods:
        if row.teacher_again is not None:
            yield (
                f"- {row.name} trains the teacher again, since it follows it on its way; on this "
                f"device that gave another one, of {100 * row.teacher_again:.2f} %."
            )


def _compared(other: str, rows: Sequence[Row], scale: Scale) -> Iterator[str]:
    words = {row.name: scale.word(row.differences[other]) for row in rows}
    parts: list[str] = []
    for word, said in _SAID.items():
        if names := [name for name, found in words.items() if found == word]:
            parts.append(f"{said}: {_names(names)} ({len(names)})")
    yield f"- Against {_AGAINST[other]}, {len(rows)} compared; {'; '.join(parts)}."
    told = [row for row in rows if words[row.name] in {"beats", "loses"}]
    if len(rows) == 1 or not told:
        return
    strict = scale.stricter(len(rows))
    kept = [
        row.name for row in told if strict.word(_widened(row, other, strict)) == words[row.name]
    ]
    yield (
        f"  That is {len(rows)} comparisons at once: were there no difference at all, about "
        f"{len(rows) * (1 - scale.confidence):.1f} would be called better or worse by chance. "
        f"With intervals wide enough for all of them together (Bonferroni, "
        f"{100 * strict.confidence:.4g} % each), better or worse remain: "
        f"{_names(kept) if kept else 'none'}."
    )


def _widened(row: Row, other: str, strict: Scale) -> Interval | None:
    interval = row.differences[other]
    values = interval.values if interval else []
    return strict.between(values, [0.0] * len(values))


def limits(recipe: Recipe, facts: Facts, rows: Sequence[Row], *, known: bool) -> Iterator[str]:
    """Say what the numbers of students are no evidence of."""
    labels = ", which labels are kept" if recipe.data.labelled else ""
    yield (
        f"- The intervals are over {len(recipe.seeds)} seeds of the student: its first weights, "
        f"the order of the data{labels}. The teacher, the split and the {facts.test:,} test "
        "samples are the same in all of them, so nothing is said about other teachers, other data "
        "or other sizes."
    )
    yield (
        "- Nothing was tuned for this data but the options that are named above. A method with its "
        "paper's defaults, which were chosen for other networks and data, may do better here with "
        "others, and its place in the table is no verdict on the method."
    )
    if recipe.data.labelled is not None:
        yield (
            f"- The student knows {recipe.data.labelled:,} labels. Methods that compare features "
            "or relations alone, beside the labels, learn classes from these few only, while those "
            "that compare logits also hear the teacher's opinion of all other samples. Most of the "
            "papers gave the student every label."
        )
    yield (
        "- The order of the table is that of the means. Two methods that stand beside each other "
        "were not compared with each other, but with the student alone and with plain KD."
    )
    if facts.validation:
        few = recipe.data.labelled is not None and not recipe.training.load_best_model_at_end
        beside = (
            f", which are labels beside the {recipe.data.labelled:,} that the student learns from"
            if few
            else ""
        )
        yield f"- *Selected* spends the labels of {facts.validation:,} validation samples{beside}."
    if len({row.parameters for row in rows}) > 1:
        yield "- Where another number of parameters is named, the method delivers another network."
    yield "- Seconds depend on the machine, and on what else it did; they are no benchmark."
    if known:
        yield (
            "- Published numbers are means of other seeds, with another teacher, trained on all "
            "training images without a validation split. Those of the best epoch on the test set "
            "are chosen by what they report and stand above what either of our columns can show."
        )


def _names(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
