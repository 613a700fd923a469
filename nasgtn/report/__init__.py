"""The report of a run: its numbers, its figures, one HTML file."""

from nasgtn.report.data import RunData
from nasgtn.report.summary import Summary, summarise

__all__ = ["RunData", "Summary", "summarise"]
