"""Licences as the Hugging Face hub calls them in a model card."""

from __future__ import annotations

from typing import Final

KNOWN: Final = frozenset(
    {
        *("afl-3.0", "agpl-3.0", "apache-2.0", "artistic-2.0", "bigcode-openrail-m"),
        *("bigscience-bloom-rail-1.0", "bigscience-openrail-m", "bsd", "bsd-2-clause"),
        *("bsd-3-clause", "bsd-3-clause-clear", "bsl-1.0", "c-uda", "cc", "cc-by-2.0"),
        *("cc-by-2.5", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-2.0", "cc-by-nc-3.0", "cc-by-nc-4.0"),
        *("cc-by-nc-nd-3.0", "cc-by-nc-nd-4.0", "cc-by-nc-sa-2.0", "cc-by-nc-sa-3.0"),
        *("cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc0-1.0"),
        *("cdla-permissive-1.0", "cdla-permissive-2.0", "cdla-sharing-1.0"),
        *("creativeml-openrail-m", "ecl-2.0", "epl-1.0", "epl-2.0", "etalab-2.0", "eupl-1.1"),
        *("gemma", "gfdl", "gpl", "gpl-2.0", "gpl-3.0", "isc", "lgpl", "lgpl-2.1", "lgpl-3.0"),
        *("lgpl-lr", "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "lppl-1.3c", "mit"),
        *("mpl-2.0", "ms-pl", "ncsa", "odbl", "odc-by", "ofl-1.1", "openrail", "openrail++"),
        *("osl-3.0", "pddl", "postgresql", "unlicense", "wtfpl", "zlib"),
    }
)
"""huggingface/hub-docs, docs/hub/repositories-licenses.md."""


def as_metadata(licence: str) -> dict[str, str]:
    """Return what a card's head says of a licence, named by its SPDX identifier."""
    # SPDX tells more of the GNU licences than the hub has words for.
    name = licence.lower().removesuffix("-only").removesuffix("-or-later")
    if name in KNOWN:
        return {"license": name}
    return {
        "license": "other",
        "license_name": licence.lower(),
        "license_link": f"https://spdx.org/licenses/{licence}.html",
    }
