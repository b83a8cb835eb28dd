"""The pages of `docs/methods` are what the entries say, and their examples can be posted."""

import re

import pytest
import yaml
from pydantic import BaseModel, Field

from jobs.spec import JobSpec
from kdcore.catalog import AXES, METHODS
from kdcore.recipe import Recipe
from scripts.docs import FOLDER, options, pages
from scripts.markdown import prose, table

PAGES = pages()


def test_no_page_is_stale():
    kept = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.md")}
    stale = sorted(name for name in PAGES | kept if kept.get(name) != PAGES.get(name))
    assert not stale, f"docs/methods/{', '.join(stale)}: not what the code says; run `make docs`"


def test_there_is_a_page_for_every_method_and_every_axis():
    axes = set(AXES) - {"methods"}
    assert set(PAGES) == {f"{name}.md" for name in {*METHODS, *axes, "README"}}


@pytest.mark.parametrize("axis", [axis for axis in AXES if axis != "methods"])
def test_the_page_of_an_axis_tells_every_entry(axis):
    told = re.findall(r"^## (\w+)$", PAGES[f"{axis}.md"], flags=re.MULTILINE)
    assert told == list(AXES[axis])


@pytest.mark.parametrize("name", METHODS)
def test_the_example_of_a_method_can_be_posted(name):
    example = PAGES[f"{name}.md"].partition("## Example")[2]
    (written,) = re.findall(r"```yaml\n(.*?)```", example, flags=re.DOTALL)
    spec = yaml.safe_load(written)
    recipe = Recipe.model_validate(spec)
    assert recipe.method is not None
    assert recipe.method.name == name
    assert JobSpec.model_validate(spec).recipe() == recipe


@pytest.mark.parametrize("name", METHODS)
def test_the_axes_on_the_page_of_a_method_are_those_of_its_recipe(name):
    page = PAGES[f"{name}.md"]
    axes, example = (
        yaml.safe_load(written) for written in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    )
    recipe = Recipe.model_validate(example)
    del example["method"]
    alone = Recipe.model_validate(example | axes)
    assert alone.model_copy(update={"method": recipe.method}) == recipe


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    for target in re.findall(r"\]\(([^)]+)\)", PAGES[name]):
        file, _, anchor = target.partition("#")
        if file.startswith("https://"):
            assert re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", target)
            continue
        path = (FOLDER / (file or name)).resolve()
        assert path.exists() or path.name in PAGES, target
        if anchor:
            assert f"\n## {anchor}\n" in PAGES[path.name], target


def test_options_are_told_with_their_defaults_and_ranges():
    class Sample(BaseModel):
        name: str = "sample"
        share: float = Field(0.5, gt=0, lt=1)
        count: int | None = Field(None, ge=1, description="How | many.")
        words: list[str] = Field(max_length=3)
        exact: bool = True

    assert options(Sample.model_json_schema()) == [
        ("`share`", "`0.5`", "number, above 0 to below 1", ""),
        ("`count`", "`null`", "whole number, 1 or more or `null`", "How | many."),
        ("`words`", "to be given", "list of up to 3 (text)", ""),
        ("`exact`", "`true`", "`true`, `false`", ""),
    ]
    assert table(["a", "b"], [["x | y", ""]]) == "| a | b |\n| --- | --- |\n| x \\| y | - |"


def test_prose_is_shown_as_it_was_written():
    shown = prose("a * b <v, m> `c * d` arXiv:1503.02531")
    paper = "[arXiv:1503.02531](https://arxiv.org/abs/1503.02531)"
    assert shown == rf"a \* b \<v, m> `c * d` {paper}"
