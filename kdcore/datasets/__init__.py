"""The entries of this folder, found by their files: add one, and it stands in every recipe."""

from kdcore.dataset import Dataset
from kdcore.entry import discover

DATASETS = discover(__name__, contract=Dataset)
