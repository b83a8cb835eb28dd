"""The pages of `docs/http` are what the API says of itself, and the site has every page."""

import re

import pytest
import yaml

from api.app import create_app
from jobs.settings import Settings
from scripts import http_reference, site
from scripts.http_reference import FOLDER, pages

PAGES = pages()
DESCRIPTION = create_app(Settings()).openapi()


def test_no_page_is_stale():
    kept = {file.name: file.read_text(encoding="utf-8") for file in FOLDER.glob("*.md")}
    stale = sorted(name for name in PAGES | kept if kept.get(name) != PAGES.get(name))
    assert not stale, f"docs/http/{', '.join(stale)}: not what the code says; run `make docs`"


def test_every_route_stands_on_one_page():
    told = [
        route
        for text in PAGES.values()
        for route in re.findall(r"^## `([A-Z]+ /\S+)`$", text, flags=re.MULTILINE)
    ]
    routes = [
        f"{one.upper()} {path}" for path, them in DESCRIPTION["paths"].items() for one in them
    ]
    assert sorted(told) == sorted(routes)


def test_every_body_stands_on_a_page_or_in_the_catalogue():
    told = set(re.findall(r"^## (\w+)$", PAGES["bodies.md"], flags=re.MULTILINE))
    assert told | set(http_reference.ENTRIES) >= set(DESCRIPTION["components"]["schemas"])


def test_no_refusal_is_told_as_the_frameworks():
    assert "ValidationError" not in str(DESCRIPTION)


def test_the_site_has_every_page_once():
    files = [file for part in site.nav() for them in part.values() for file in them]
    kept = sorted(file.relative_to(site.DOCS).as_posix() for file in site.DOCS.rglob("*.md"))
    assert sorted(files) == kept


@pytest.mark.parametrize("page", ["pipelines.md", "methods/objectives.md"])
def test_a_file_that_a_page_links_to_is_laid_beside_the_pages(tmp_path, page):
    site.lay_out(tmp_path / "pages")
    text = (tmp_path / "pages" / page).read_text()
    links = re.findall(r"\]\(([^)#:]+)\)", text)
    outside = [link for link in links if "source/" in link]
    assert outside
    here = (tmp_path / "pages" / page).parent
    for link in links:
        assert (here / link).resolve().is_relative_to(tmp_path / "pages")
        assert (here / link).exists()


def test_the_settings_of_the_site_ask_nothing_of_other_sites():
    assert yaml.safe_load(yaml.safe_dump(site.SETTINGS))["theme"]["font"] is False
