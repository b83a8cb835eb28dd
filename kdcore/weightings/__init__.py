"""The entries of this folder, found by their files: add one, and it stands in every recipe."""

from kdcore.entry import discover
from kdcore.weighting import Weighting

WEIGHTINGS = discover(__name__, contract=Weighting)
