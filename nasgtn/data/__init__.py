"""Datasets: read, split, normalised."""

from nasgtn.data.sources import DataConfig, dataset_names, describe_dataset, load_splits
from nasgtn.data.splits import Part, Splits, pixels

__all__ = [
    "DataConfig",
    "Part",
    "Splits",
    "dataset_names",
    "describe_dataset",
    "load_splits",
    "pixels",
]
