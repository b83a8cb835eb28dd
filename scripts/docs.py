"""Writes `docs/methods`: a page for each method and each axis, from what the entries tell.

`make docs` runs it, and has `docs/http` and the Helm chart's copies of files written as well; a
test fails where one is not what it would write.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

from kdcore.catalog import AXES, FIELDS, METHODS, describe
from kdcore.curriculum import Curriculum
from kdcore.dataset import Dataset
from kdcore.entry import Entry
from kdcore.examples import example_of
from kdcore.method import Method
from kdcore.model import Model
from kdcore.objective import Objective
from kdcore.options import NEEDS, listed
from kdcore.options import options as in_words
from kdcore.path import Path as Route
from kdcore.task import Task
from kdcore.temperature import Temperature
from kdcore.weighting import Weighting
from scripts import chart_files, http_reference
from scripts.markdown import code, in_yaml, prose, table

FOLDER: Final = Path(__file__).parents[1] / "docs" / "methods"

_CONTRACTS: Final[dict[str, type[Entry]]] = {
    "methods": Method,
    "objectives": Objective,
    "temperatures": Temperature,
    "weightings": Weighting,
    "paths": Route,
    "curricula": Curriculum,
    "models": Model,
    "tasks": Task,
    "datasets": Dataset,
}
_AXES_PAGES: Final = [axis for axis in AXES if axis != "methods"]
_USUAL: Final = {"cross_entropy", "fixed", "uniform", "direct", "everything"}
_NOTE: Final = "<!-- Written by `make docs` from {files}: edit there. -->"
_OPTIONS: Final = ("option", "default", "values", "meaning")

_ONE_WORD: Final = (
    "One word in a recipe, such as `method: dkd`, stands for all that its page tells; any axis can "
    "be written out beside it. The same is in `GET /v1/methods` and `stillhouse methods`."
)
_HIDDEN_LABELS: Final = (
    "`cross_entropy` skips the samples whose label is hidden; whatever else reads labels takes the "
    "teacher's best class for them."
)
_READY: Final = (
    "Ready to be posted: `curl -s http://127.0.0.1:8000/v1/jobs -H 'Content-Type: "
    "application/yaml' --data-binary @spec.yaml`, or `stillhouse submit spec.yaml --watch`."
)

Described = dict[str, Any]


def options(schema: Mapping[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return an entry's options as rows of a table."""
    return [(*one[:3], prose(one.meaning)) for one in in_words(schema)]


def pages() -> dict[str, str]:
    """Return every page by its file's name."""
    found = {f"{name}.md": _method_page(name) for name in METHODS}
    found |= {f"{axis}.md": _axis_page(axis) for axis in _AXES_PAGES}
    return {"README.md": _index(), **found}


def main() -> None:
    """Write all pages, and remove those of what is gone."""
    for folder, written in ((FOLDER, pages()), (http_reference.FOLDER, http_reference.pages())):
        folder.mkdir(parents=True, exist_ok=True)
        for file in folder.glob("*.md"):
            if file.name not in written:
                file.unlink()
        for name, text in written.items():
            (folder / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"docs: {len(written)} pages in {folder}\n")
    chart_files.copy()


def _index() -> str:
    rows: list[list[str]] = []
    for name in METHODS:
        told = _told("methods", name)
        parts = _parts(told)
        rows.append(
            [
                f"[`{name}`]({name}.md)",
                told["title"],
                "<br>".join(prose(f"arXiv:{paper}") for paper in told["arxiv"]),
                ", ".join(_link(axis, one) for axis, one in parts if one not in _USUAL),
                *(_by(parts, need) for need in ("needs_labels", "needs_features", "needs_indices")),
                "; ".join(_extra(parts)),
            ]
        )
    heads = (
        "method", "title", "paper", "what it rests on", "labels read by", "features read by",
        "indices read by", "extra trained parts",
    )  # fmt: skip
    axes = (f"- [{axis}]({axis}.md): {_axis_is(axis)}" for axis in _AXES_PAGES)
    return _page(
        _NOTE.format(files="the entries in `kdcore`"),
        "# Methods",
        f"A method is {_axis_is('methods')}",
        _ONE_WORD,
        table(heads, rows),
        _HIDDEN_LABELS,
        "## The axes",
        "\n".join(axes),
    )


def _method_page(name: str) -> str:
    told, entry = _told("methods", name), METHODS[name]
    parts = _parts(told)
    sections = [
        _note(entry),
        f"# {told['title']}",
        f"`method: {name}`. {prose(told['summary'])}",
        prose(told["paper"]),
        *_formula(told, "##"),
        "## What it stands for",
        "Written out on the axes, with the defaults:",
        code(in_yaml(told["axes"]), "yaml"),
        "## Options",
        table(_OPTIONS, options(told["schema"])),
    ]
    if told["by_pair"]:
        sections += ["Where it is not given, the paper's value for the pair:", _by_pair(told)]
    needs = [[words, _by(parts, need)] for need, words in NEEDS.items()]
    sections += ["## What it needs", table(("what", "asked for by"), needs)]
    if told["smallest_batch"] > 1:
        sections.append(f"A batch has at least {told['smallest_batch']} samples.")
    if told["needs_tokens"]:
        sections.append("Teacher and student are transformers, such as text encoders.")
    sections += [
        "## What may stand beside it",
        _joins(told),
        "## Example",
        _READY,
        code(in_yaml(example_of(name)), "yaml"),
        "## Source",
        prose(told["source"]),
    ]
    return _page(*sections)


def _by_pair(told: Described) -> str:
    rows = [
        [*(f"`{row[key]}`" for key in ("field", "teacher", "student")), f"{row['value']:g}"]
        for row in told["by_pair"]
    ]
    return table(("option", "teacher", "student", "value"), rows)


def _axis_page(axis: str) -> str:
    told = {name: _told(axis, name) for name in AXES[axis]}
    rows = {name: options(one["schema"]) for name, one in told.items()}
    first, *others = rows.values()
    common = [row for row in first if all(row in other for other in others)]
    sections = [
        _NOTE.format(files=f"the files in `kdcore/{axis}`"),
        f"# {axis.capitalize()}",
        _axis_is(axis).capitalize(),
        " · ".join(f"[`{name}`](#{name})" for name in told),
    ]
    if common:
        sections += ["Every entry has these options:", table(_OPTIONS, common)]
    for name, one in told.items():
        own = [row for row in rows[name] if row not in common]
        sections += [
            f"## {name}",
            prose(one["summary"]),
            f"{prose(one['paper'])}\n\nCode: {_file(AXES[axis][name])}",
            *_formula(one, "###"),
        ]
        if own:
            sections += ["### Options", table(_OPTIONS, own)]
        sections += [*_sizes(one), *_requirements(one)]
        sections += ["### Source", prose(one["source"])]
    return _page(*sections)


def _formula(told: Described, level: str) -> list[str]:
    return [f"{level} Formula", code(told["formula"]), f"{level} Shapes", prose(told["shapes"])]


def _requirements(told: Described) -> Iterator[str]:
    if "joins" not in told:
        return
    asked = [words for need, words in NEEDS.items() if told.get(need)]
    if told.get("smallest_batch", 1) > 1:
        asked.append(f"a batch of {told['smallest_batch']} samples or more")
    yield "### Needs, and what may stand beside it"
    if asked:
        yield f"It asks for {'; '.join(asked)}."
    yield _joins(told)


def _sizes(told: Described) -> Iterator[str]:
    if known := cast("Mapping[str, Any]", told.get("known")):
        yield "### Sizes with a name"
        yield table(
            ("name", "options"),
            [[f"`{name}`", f"`{in_yaml(one, line=True)}`"] for name, one in known.items()],
        )
    if stages := cast("Mapping[str, Sequence[int]]", told.get("stages")):
        yield "### Stages"
        yield "What each gives by default, for an image of 3x32x32 and ten classes:"
        shapes = [[f"`{name}`", " x ".join(map(str, shape))] for name, shape in stages.items()]
        yield table(("stage", "shape"), shapes)


def _joins(told: Described) -> str:
    joins: Mapping[str, Any] = told["joins"]
    rows = [
        [f"[{axis}]({axis}.md)", listed(one["entries"]), one["why_not"] or ""]
        for axis, one in joins.items()
    ]
    return table(("axis", "entries", "why not the others"), rows)


@functools.cache
def _told(axis: str, name: str) -> Described:
    return describe(axis, AXES[axis][name])


def _parts(method: Described) -> list[tuple[str, str]]:
    """Return the entries that a method writes: axis and name."""
    axes: Mapping[str, Any] = method["axes"]
    found: list[tuple[str, str]] = []
    for axis, field in FIELDS.items():
        written = axes.get(field, [])
        entries = cast("list[Described]", written if isinstance(written, list) else [written])
        found += [(axis, one["name"]) for one in entries]
    return found


def _by(parts: Sequence[tuple[str, str]], need: str) -> str:
    """Return links to the parts of a method that have a need."""
    return ", ".join(_link(axis, name) for axis, name in parts if _told(axis, name).get(need))


def _extra(parts: Sequence[tuple[str, str]]) -> Iterator[str]:
    for need, words in (
        ("learns", "layers of {}"),
        ("changes_student", "in the student, by {}"),
        ("prepares_teacher", "around the teacher, first, by {}"),
    ):
        if names := _by(parts, need):
            yield words.format(names)


def _link(axis: str, name: str) -> str:
    return f"[`{name}`]({axis}.md#{name})"


def _axis_is(axis: str) -> str:
    """Return what an axis is, by the first line of its contract's file."""
    line = (sys.modules[_CONTRACTS[axis].__module__].__doc__ or "").partition("\n")[0]
    return line.partition(": ")[2]


def _note(entry: type[Entry]) -> str:
    return _NOTE.format(files=f"`{_path(entry)}`")


def _file(entry: type[Entry]) -> str:
    return f"[`{_path(entry)}`](../../{_path(entry)})"


def _path(entry: type[Entry]) -> str:
    return f"{entry.__module__.replace('.', '/')}.py"


def _page(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    main()
