"""Datasets: read, split, normalised."""

from nasgtn.data.splits import Part, Splits

__all__ = ["Part", "Splits"]
