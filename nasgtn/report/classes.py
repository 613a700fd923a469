"""How the winner does on each class of the test images."""

from collections.abc import Sequence
from dataclasses import dataclass

Confusion = Sequence[Sequence[int]]
"""True class, predicted class (-1: the network put out no finite numbers), number of images;
only what occurs."""
MAX_CLASSES = 40
"""Of figure and table; of more, those of lowest accuracy."""


@dataclass(frozen=True, kw_only=True)
class ClassResult:
    """One class of the test images."""

    name: str
    n_images: int
    accuracy: float | None
    """Share of its images that are classified correctly; None without images."""
    taken_for: str | None
    """The class that most of the others are put into."""
    n_taken: int
    """Images of it that are put there."""


def class_results(confusion: Confusion, names: Sequence[str]) -> tuple[ClassResult, ...]:
    """Count the images of each class; nothing without a confusion."""
    if not confusion or not names:
        return ()
    rows: list[dict[int, int]] = [{} for _ in names]
    for label, predicted, n in confusion:
        rows[label][predicted] = n
    return tuple(_result(label, row, names) for label, row in enumerate(rows))


def _result(label: int, row: dict[int, int], names: Sequence[str]) -> ClassResult:
    n = sum(row.values())
    wrong = {other: count for other, count in row.items() if other != label}
    worst = max(wrong, key=lambda other: (wrong[other], -other), default=None)
    return ClassResult(
        name=names[label],
        n_images=n,
        accuracy=row.get(label, 0) / n if n else None,
        taken_for=None if worst is None else "nothing" if worst < 0 else names[worst],
        n_taken=0 if worst is None else wrong[worst],
    )


def shown_classes(classes: Sequence[ClassResult]) -> list[int]:
    """Take all classes, or those of lowest accuracy, in their order."""
    places = range(len(classes))

    def rank(place: int) -> float:
        accuracy = classes[place].accuracy
        return 2.0 if accuracy is None else accuracy

    return sorted(sorted(places, key=rank)[:MAX_CLASSES])


def shares(
    classes: Sequence[ClassResult], confusion: Confusion, shown: Sequence[int]
) -> list[list[float | None]]:
    """Share of the images of each shown class that are put into each shown class."""
    places = {label: place for place, label in enumerate(shown)}
    table: list[list[float | None]] = [
        [0.0 if classes[label].n_images else None] * len(shown) for label in shown
    ]
    for label, predicted, n in confusion:
        if label in places and predicted in places:
            table[places[label]][places[predicted]] = n / classes[label].n_images
    return table
