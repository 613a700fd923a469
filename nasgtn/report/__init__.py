"""The report of a run: its numbers, its figures, one HTML file."""

from nasgtn.report.summary import RunData, Summary, summarise

__all__ = ["RunData", "Summary", "summarise"]
