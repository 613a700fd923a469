"""How long work says how far it is, without knowing who listens."""

from typing import Protocol, runtime_checkable


@runtime_checkable
class Progress(Protocol):
    """Called by long work after each unit; cheap, and free of side effects on the work."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Report that `done` of `total` units of `stage` are finished; `note` says how it goes."""


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Listen to nothing: the default."""


def within(place: str, progress: Progress) -> Progress:
    """Tell each stage as one of `place`."""

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        progress(f"{place}: {stage}", done, total, note)

    return tell
