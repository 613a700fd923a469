"""Audits synthetic data: what it teaches, how like real data it is, and whether it is copied."""

import base64
import io
import math
import time
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image
from torch import Tensor, nn

from nasgtn.data import Part, Splits, pixels
from nasgtn.distances import Labels, Points, centres, likeness, nearest, spread
from nasgtn.errors import ArtefactError
from nasgtn.evaluation.lessons import BATCH_SIZE, Lesson, teach_network
from nasgtn.evaluation.proxy import RealBudget, real_batches
from nasgtn.findings import ALMOST_ALL, Audit, ClassFindings, Copying, Pair
from nasgtn.gtn import SyntheticData, TrainedGenerator
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.spaces import SearchSpace
from nasgtn.task import Task
from nasgtn.training import Measured, TrainingConfig, measure, train

N_NETWORKS = 8
"""Random networks that are taught: after a few steps they differ much in what they recognise."""
MAX_POINTS = 2000
"""Images of a kind that are compared in pairs, at most."""
MAX_PAIRS = 12
MAX_SIDE = 64
"""Pixels of a pair's images, at most."""


def audit(
    trained: TrainedGenerator,
    space: SearchSpace,
    splits: Splits,
    training: TrainingConfig,
    *,
    seed: int,
    progress: Progress = silent,
) -> Audit:
    """Audit the synthetic data of a generator, on the device of `splits`; test is never read.

    Teaches a few random networks with the synthetic batches, and again with as many real ones of
    the same size at the same learning rates. The one that real batches teach best is then trained
    in full on real images of the generator's size: the judge.

    Args:
        trained: Its task has to fit the splits.
        space: Where the networks come from.
        splits: The real data.
        training: Of the judge.
        seed: Decides networks, batches and samples.
        progress: Told after each training.

    Raises:
        ArtefactError: The synthetic images are not finite.
        DivergedError: The judge's training is not finite.
    """
    start = time.perf_counter()
    data = trained.synthesise()
    images, labels = (made[: trained.n_batches] for made in data[:2])
    synthetic = Part(images.flatten(0, 1), labels.flatten(0, 1).argmax(dim=1))
    if not synthetic.images.isfinite().all():
        raise ArtefactError("the generator must make finite images, but some are not")
    splits = splits.shrunk(trained.config.image_size)
    space = trained.look_alikes(space)
    lessons = []
    for index in range(N_NETWORKS):
        stream = derive_seed(seed, "audit", index)
        lessons.append(_teach(space, splits, data, trained, stream))
        progress("audit", index + 1, N_NETWORKS + 1)
    best = max(lessons, key=lambda lesson: lesson.by_real.accuracy)
    judge = train(
        space.sample_network(best.seed, splits.task), splits, training, seed=best.seed
    ).network
    progress("audit", N_NETWORKS + 1, N_NETWORKS + 1)
    recognised, judged = measure(judge, synthetic), measure(judge, splits.validation)
    spreads = _Spreads.of(judge, synthetic, splits, seed)
    return Audit(
        dataset=splits.task.name,
        space=space.name,
        seed=seed,
        n_networks=N_NETWORKS,
        n_steps=len(data.images),
        n_images=len(synthetic),
        recognised=recognised.accuracy,
        judged=judged.accuracy,
        taught=fmean(lesson.by_synthetic.accuracy for lesson in lessons),
        taught_by_real=fmean(lesson.by_real.accuracy for lesson in lessons),
        synthetic=likeness(spreads.train, spreads.fair_synthetic),
        validation=likeness(spreads.train, spreads.fair_validation),
        between=spreads.between(),
        copying=copying(synthetic, splits),
        classes=tuple(
            ClassFindings(
                name=name,
                n_synthetic=int((synthetic.labels == label).sum()),
                n_validation=int((splits.validation.labels == label).sum()),
                recognised=recognised.class_accuracy[label],
                judged=judged.class_accuracy[label],
                diversity=spreads.within(label),
                **_lessons_of_class(lessons, label),
            )
            for label, name in enumerate(splits.task.class_names)
        ),
        seconds=time.perf_counter() - start,
    )


def copying(synthetic: Part, splits: Splits) -> Copying:
    """Look for training images that the synthetic ones repeat, pixel by pixel."""
    train = _flat(splits.train.images)
    _, usual = nearest(_flat(splits.validation.images[:MAX_POINTS]), train)
    index, found = nearest(_flat(synthetic.images), train)
    close = float(np.quantile(usual, 1 - ALMOST_ALL, method="lower"))
    far = float(np.quantile(usual, ALMOST_ALL, method="higher"))
    return Copying(
        exact_share=float((found == 0).mean()),
        close=close,
        close_share=float((found <= close).mean()),
        far_share=float((found > far).mean()),
        median=float(np.median(found)),
        validation_median=float(np.median(usual)),
        pairs=tuple(
            Pair(
                name=splits.task.class_names[int(synthetic.labels[at])],
                training_name=splits.task.class_names[int(splits.train.labels[index[at]])],
                distance=float(found[at]),
                png=_side_by_side(
                    synthetic.images[at], splits.train.images[index[at]], splits.task
                ),
            )
            for at in _first_of_each(synthetic.labels.cpu().numpy(), found)
        ),
    )


@torch.no_grad()
def features(
    network: nn.Module, images: Float[Tensor, "batch channels height width"]
) -> Float[Tensor, "batch features"]:
    """Read what the last linear layer of a network reads; its logits where it has none."""
    seen: list[Tensor] = []
    hooks = [
        module.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
        for module in network.modules()
        if isinstance(module, nn.Linear)
    ]
    found = []
    for batch in images.split(BATCH_SIZE):
        logits = network(batch)
        fits = bool(seen) and len(seen[-1]) == len(batch)
        found.append((seen[-1] if fits else logits).flatten(1))
        seen.clear()
    for hook in hooks:
        hook.remove()
    return torch.cat(found)


class _Lesson(NamedTuple):
    """One network, taught twice from the same initial weights; measured on validation images."""

    seed: int
    by_synthetic: Measured
    by_real: Measured


def _teach(
    space: SearchSpace,
    splits: Splits,
    data: SyntheticData,
    trained: TrainedGenerator,
    seed: int,
) -> _Lesson:
    n_classes = splits.task.n_classes
    budget = RealBudget.like(trained.config.curriculum, n_classes, n_steps=None)
    drawn = real_batches(splits.train, n_classes, budget, seed=seed)
    real = SyntheticData(*drawn, data.learning_rates, data.momenta)
    found = (
        teach_network(
            space, splits.task, Lesson(taught_by, trained.config.inner_loop), seed=seed
        ).measure(splits.validation)
        for taught_by in (data, real)
    )
    return _Lesson(seed, *found)


class _Spreads(NamedTuple):
    """Real and synthetic images as features of the judge."""

    train: Points
    train_labels: Labels
    synthetic: Points
    labels: Labels
    fair_synthetic: Points
    """As many as of validation, drawn at random: distances depend on numbers."""
    fair_validation: Points

    @classmethod
    def of(cls, judge: nn.Module, synthetic: Part, splits: Splits, seed: int) -> "_Spreads":
        rng = torch_rng(derive_seed(seed, "audit", "features"))
        order = torch.randperm(len(synthetic), generator=rng)[:MAX_POINTS]
        order = order.to(synthetic.labels.device)
        train = splits.train.first(MAX_POINTS)
        shown, real, usual = (
            features(judge, images).double().cpu().numpy()
            for images in (
                synthetic.images[order],
                train.images,
                splits.validation.images[:MAX_POINTS],
            )
        )
        n = min(len(shown), len(usual))
        labels, train_labels = (
            found.cpu().numpy() for found in (synthetic.labels[order], train.labels)
        )
        return cls(real, train_labels, shown, labels, shown[:n], usual[:n])

    def within(self, label: int) -> float | None:
        """Spread of a synthetic class over that of the real one."""
        real = spread(self.train[self.train_labels == label])
        return _over(spread(self.synthetic[self.labels == label]), real)

    def between(self) -> float | None:
        """Spread of the centres of the classes over that of the real ones."""
        return _over(
            spread(centres(self.synthetic, self.labels)),
            spread(centres(self.train, self.train_labels)),
        )


def _over(one: float | None, other: float | None) -> float | None:
    return None if one is None or not other else one / other


def _lessons_of_class(lessons: Sequence[_Lesson], label: int) -> dict[str, float | None]:
    """Average over the networks; None for a class without validation images."""
    pairs = [
        (one.by_synthetic.class_accuracy[label], one.by_real.class_accuracy[label])
        for one in lessons
    ]
    known = [(taught, real) for taught, real in pairs if taught is not None and real is not None]
    if not known:
        return dict.fromkeys(("taught", "taught_by_real", "loss_error"))
    return {
        "taught": fmean(taught for taught, _ in known),
        "taught_by_real": fmean(real for _, real in known),
        "loss_error": stdev(real - taught for taught, real in known) / math.sqrt(len(known)),
    }


def _flat(images: Float[Tensor, "batch channels height width"]) -> Points:
    return images.flatten(1).cpu().numpy()


def _first_of_each(
    labels: Int[np.ndarray, " batch"], distances: Float[np.ndarray, " batch"]
) -> list[int]:
    """Find the nearest image of each class; the nearest of all first."""
    first: dict[int, int] = {}
    for at in np.argsort(distances, kind="stable").tolist():
        first.setdefault(int(labels[at]), at)
    return list(first.values())[:MAX_PAIRS]


def _side_by_side(
    one: Float[Tensor, "channels height width"],
    other: Float[Tensor, "channels height width"],
    task: Task,
) -> str:
    """Draw two images beside each other; other than three channels show the first one."""
    left, right = (pixels(image, task) for image in (one, other))
    both = torch.cat([left, torch.full_like(left[:, :1], 128), right], dim=1)
    shown = both.numpy() if both.shape[-1] == 3 else both[..., 0].numpy()
    image = Image.fromarray(shown)
    image.thumbnail((2 * MAX_SIDE + 1, MAX_SIDE), Image.Resampling.BOX)
    file = io.BytesIO()
    image.save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
