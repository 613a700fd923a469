"""What an audit of synthetic data found: the record, its file, and what is wrong in words."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from nasgtn.artefacts import AUDIT, write_text
from nasgtn.errors import ArtefactError, NasgtnError
from nasgtn.validation import validated

ALMOST_ALL = 0.99
"""A synthetic image is close to training data if it is closer than this share of the validation
images are; of real images, one in a hundred would be."""
MANY_COPIES = 0.05
"""Share of close ones from which the generator is said to repeat training data."""
BADLY = 0.2
"""A class that loses so much accuracy is badly served."""
NOISE = 0.25
"""Part of the way from guessing to the judge's accuracy on real images; below it the synthetic
images are noise to the judge."""
ALIKE = 0.1
"""Diversity of a class below which its images are nearly the same."""
MAX_NAMES = 5
"""Classes that a warning names."""


@dataclass(frozen=True, kw_only=True)
class ClassFindings:
    """One class; shares lie in [0, 1], and are None where there is no image to count."""

    name: str
    n_synthetic: int
    n_validation: int
    recognised: float | None
    """Share of its synthetic images that the judge puts into it."""
    judged: float | None
    """Share of its validation images that the judge puts into it."""
    taught: float | None
    """Share of its validation images that networks taught by synthetic data put into it."""
    taught_by_real: float | None
    """The same of the same networks after as many steps on real data."""
    loss_error: float | None
    """Standard error over the networks of `loss`."""
    diversity: float | None
    """Mean distance between its synthetic images over that between real ones, as features."""

    @property
    def loss(self) -> float | None:
        """Accuracy that the class loses by being taught with synthetic data."""
        if self.taught is None or self.taught_by_real is None:
            return None
        return self.taught_by_real - self.taught

    @property
    def is_badly_served(self) -> bool:
        """Whether the loss is large, and larger than few images and few networks make it."""
        if self.loss is None or self.taught is None or self.taught_by_real is None:
            return False
        n = self.n_validation
        variance = (self.loss_error or 0.0) ** 2
        for share in (self.taught, self.taught_by_real):
            sure = (n * share + 1) / (n + 2)  # none or all of a few are not certain
            variance += sure * (1 - sure) / n
        return self.loss > max(BADLY, 2 * math.sqrt(variance))


@dataclass(frozen=True, kw_only=True)
class Likeness:
    """How like the real points others are."""

    frechet: float
    """Frechet distance of the two normal distributions (Dowson and Landau, 1982), squared, as in
    the FID (arXiv 1706.08500); at least 0, and larger for fewer points."""
    precision: float
    """Share of the others that lie no further from some real point than its fifth real neighbour
    (Kynkaanniemi et al., arXiv 1904.06991)."""
    coverage: float
    """Share of the real points that have one of the others so near (Naeem et al.,
    arXiv 2002.09797); smaller for fewer others."""


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A synthetic image, and the training image that is nearest to it."""

    name: str
    """Class that the synthetic image is made for."""
    training_name: str
    """Class of the training image."""
    distance: float
    png: str
    """Both side by side, the synthetic one on the left; base64."""


@dataclass(frozen=True, kw_only=True)
class Copying:
    """How near the synthetic images come to training images, pixel by pixel.

    Distances are root mean squared differences of normalised pixels.
    """

    exact_share: float
    """Share of the synthetic images that are training images, pixel for pixel."""
    close: float
    """A distance that 99 % of the validation images have from all training images."""
    close_share: float
    """Share of the synthetic images within that distance; of new real images 0.01 would be."""
    far_share: float
    """Share that is further from all training images than 99 % of the validation images."""
    median: float
    """Distance of a synthetic image from the nearest training image."""
    validation_median: float
    pairs: tuple[Pair, ...]
    """The nearest one of each class, nearest first."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What is known about the synthetic data of one generator; accuracies are in [0, 1]."""

    dataset: str
    space: str
    seed: int
    n_networks: int
    """Random networks that were taught by synthetic and by real data; accuracies are means."""
    n_steps: int
    n_images: int
    """Synthetic images."""
    recognised: float
    """Share of the synthetic images that the judge, trained in full on real data, puts into the
    class they are made for."""
    judged: float
    """Accuracy of the judge on validation images."""
    taught: float
    """Accuracy on validation images of networks taught by synthetic data."""
    taught_by_real: float
    """The same of the same networks after as many steps on real data."""
    synthetic: Likeness
    """Of the synthetic images to training images, in features of the judge."""
    validation: Likeness
    """Of as many validation images: what real images reach."""
    between: float | None
    """Mean distance between the centres of the synthetic classes over that of the real ones."""
    copying: Copying
    classes: tuple[ClassFindings, ...]
    seconds: float

    @property
    def gap(self) -> float:
        """Accuracy of the best served class less that of the worst, taught by synthetic data."""
        return _gap([one.taught for one in self.classes])

    @property
    def gap_by_real(self) -> float:
        """The same after as many steps on real data."""
        return _gap([one.taught_by_real for one in self.classes])

    @property
    def imbalance(self) -> float | None:
        """Images of the largest synthetic class over those of the smallest; None: one is empty."""
        numbers = [one.n_synthetic for one in self.classes]
        return max(numbers) / min(numbers) if min(numbers) else None

    def warnings(self) -> list[str]:
        """Say in words what is wrong; nothing where nothing is."""
        return [*_about_images(self), *_about_classes(self)]


def write_audit(folder: Path, audit: Audit) -> Path:
    """Write the audit of a folder's generator whole, and return its path."""
    path = folder / AUDIT
    write_text(path, json.dumps(asdict(audit), indent=1, allow_nan=False) + "\n")
    return path


def read_audit(folder: Path) -> Audit | None:
    """Read the audit of a folder's generator; None where there is none.

    Raises:
        ArtefactError: It is damaged, or of another version.
    """
    path = folder / AUDIT
    if not path.exists():
        return None
    try:
        return validated(Audit, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, AttributeError, NasgtnError) as error:
        raise ArtefactError(
            f"{path} must hold an audit, but: {error}; nasgtn audit {folder} writes it again"
        ) from error


def _about_images(audit: Audit) -> list[str]:
    found = []
    guessing = 1 / len(audit.classes)
    if audit.recognised - guessing < NOISE * max(0.0, audit.judged - guessing):
        found.append(
            "The synthetic images are noise to a network trained on real data: it puts "
            f"{_percent(audit.recognised)} of them into their class, and guessing would put "
            f"{_percent(guessing)} there."
        )
    copying = audit.copying
    if copying.exact_share:
        found.append(
            f"The generator copies training data: {_percent(copying.exact_share)} of the "
            "synthetic images are training images, pixel for pixel."
        )
    elif copying.close_share > MANY_COPIES:
        found.append(
            f"The generator may repeat training data: {_percent(copying.close_share)} of the "
            f"synthetic images are closer to a training image than {_percent(ALMOST_ALL)} of the "
            "validation images are."
        )
    return found


def _about_classes(audit: Audit) -> list[str]:
    bad = sorted(
        (one for one in audit.classes if one.is_badly_served), key=lambda one: -(one.loss or 0)
    )
    average = audit.n_images / len(audit.classes)
    rare = [one for one in audit.classes if one.n_synthetic < average / 2]
    alike = [one for one in audit.classes if one.diversity is not None and one.diversity < ALIKE]
    found = []
    if bad:
        taught, real = bad[0].taught or 0.0, bad[0].taught_by_real or 0.0
        found.append(
            f"Badly served: {_names(bad)}. Networks taught by the synthetic data recognise "
            f"{_percent(taught)} of the images of {bad[0].name!r}, and {_percent(real)} after as "
            "many steps on real data."
        )
    if rare:
        found.append(f"Less than half of the average number of synthetic images: {_names(rare)}.")
    if alike:
        found.append(f"Synthetic images that are nearly the same: {_names(alike)}.")
    return found


def _names(classes: Sequence[ClassFindings]) -> str:
    """List the first of the classes."""
    shown = ", ".join(repr(one.name) for one in classes[:MAX_NAMES])
    more = len(classes) - MAX_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _gap(shares: Sequence[float | None]) -> float:
    known = [share for share in shares if share is not None]
    return max(known, default=0.0) - min(known, default=0.0)


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"
