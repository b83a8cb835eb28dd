"""Builds the documentation as a site in `build/site`: `make site`.

The pages of `docs` are read on GitHub as well, where their links may lead to files beside them. A
site has its pages alone, so whatever else they link to is laid beside these, under `source/`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"

_LINK: Final = re.compile(r"\]\((\.\./[^)#\s]+)(#[^)\s]*)?\)")
_NAV: Final[dict[str, list[str]]] = {
    "Start": ["index", "concepts", "dashboard"],
    "Bring your own": ["data", "inputs", "models", "tasks"],
    "Distil": ["sweeps", "deliveries", "results"],
    "Methods": ["methods/"],
    "Connect": ["client", "pipelines", "mlflow", "webhooks", "openai"],
    "Operate": ["operating", "kubernetes", "access", "artifacts", "reliability", "performance"],
    "Reference": ["glossary", "http/", "decisions/"],
}
"""Pages by their names, folders by a stroke at the end."""
SETTINGS: Final[dict[str, Any]] = {
    "site_name": "Stillhouse",
    "site_description": "Knowledge distillation as a service, self-hosted",
    "copyright": "Apache-2.0",
    "docs_dir": "pages",
    "site_dir": "site",
    "theme": {
        "name": "material",
        "font": False,  # nothing is asked of other sites
        "features": ["navigation.tabs", "navigation.indexes", "content.code.copy"],
        "palette": [
            {
                "media": f"(prefers-color-scheme: {one})",
                "scheme": scheme,
                "primary": "brown",
                "toggle": {"icon": "lucide/sun-moon", "name": f"Switch to {other} mode"},
            }
            for one, scheme, other in (("light", "default", "dark"), ("dark", "slate", "light"))
        ],
    },
    "markdown_extensions": ["tables", "toc", "pymdownx.highlight", "pymdownx.superfences"],
}


def main() -> int:
    """Build it; return the exit status."""
    build = Path(sys.argv[1]) if sys.argv[1:] else ROOT / "build"
    lay_out(build / "pages")
    settings = build / "mkdocs.yml"
    settings.write_text(yaml.safe_dump({**SETTINGS, "nav": nav()}, sort_keys=False))
    command = [sys.executable, "-m", "zensical", "build", "--clean", "--strict", "-f"]
    return subprocess.run([*command, str(settings)], check=False).returncode  # noqa: S603  # ours


def lay_out(pages: Path) -> None:
    """Copy the documentation into a folder, with what it links to outside of itself."""
    shutil.rmtree(pages, ignore_errors=True)
    shutil.copytree(DOCS, pages)
    for page in pages.rglob("*.md"):
        here = (DOCS / page.relative_to(pages)).parent

        def beside(link: re.Match[str], here: Path = here) -> str:
            target = (here / link[1]).resolve()
            if target.is_relative_to(DOCS) or not target.is_file():
                return link[0]
            place = Path("source") / target.relative_to(ROOT)
            if place.suffix == ".md":  # a file to read, and no page of the site
                place = place.with_suffix(".md.txt")
            (pages / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(target, pages / place)
            up = "../" * len(here.relative_to(DOCS).parts)
            return f"]({up}{place.as_posix()})"

        page.write_text(_LINK.sub(beside, page.read_text(encoding="utf-8")), encoding="utf-8")


def nav() -> list[dict[str, list[str]]]:
    """Return all pages in their order, as the site's settings name them."""
    return [
        {title: [file for one in names for file in _files(one)]} for title, names in _NAV.items()
    ]


def _files(name: str) -> list[str]:
    if not name.endswith("/"):
        return [f"{name}.md"]
    files = sorted(file.relative_to(DOCS).as_posix() for file in (DOCS / name).glob("*.md"))
    return sorted(files, key=lambda file: not file.endswith("/README.md"))


if __name__ == "__main__":
    sys.exit(main())
