"""The entries of this folder, found by their files: add one, and it stands in every recipe.

Beside them stand those of installed packages, found by their entry points of `stillhouse.models`.
"""

from kdcore.entry import discover
from kdcore.model import Model
from kdcore.plugins import plugged_in

_OURS = discover(__name__, contract=Model)
PLUGINS = plugged_in(
    "stillhouse.models",
    Model,
    {*_OURS, *(label for entry in _OURS.values() for label in entry.known)},
)
"""Models of other packages, and what was wrong with those that are left out."""
MODELS = {**_OURS, **PLUGINS.entries}
