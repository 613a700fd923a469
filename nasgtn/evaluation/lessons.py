"""Lessons: a random network learns from given batches, and is measured on real images.

So synthetic batches are judged by what they teach, beside real ones in the same place.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import fmean, stdev
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from nasgtn.data import Part, Splits
from nasgtn.evaluation.proxy import RealBudget, real_batches
from nasgtn.gtn import InnerLoopConfig, Learner, SyntheticData, unroll
from nasgtn.spaces import SearchSpace
from nasgtn.task import Task
from nasgtn.training import Measured, measured

BATCH_SIZE = 512
LOWEST = 0.05
"""Last learning rate of those that fall, as a share of the first."""
NORMAL_95 = 1.96
"""Standard errors on each side of a mean, in a 95 % interval."""


class Lesson(NamedTuple):
    """What is taught: batches, and the optimiser that they are for."""

    data: SyntheticData
    """Real batches have learning rates and momenta too."""
    inner_loop: InnerLoopConfig


class Rates(NamedTuple):
    """Learning rates of a lesson on real batches."""

    first: float
    falls: bool
    """In a straight line; else all steps have the same."""

    def of(self, n_steps: int) -> Float[Tensor, " steps"]:
        """Give each step its rate.

        >>> Rates(0.2, falls=True).of(3)
        tensor([0.2000, 0.1050, 0.0100])
        """
        return self.first * torch.linspace(1, LOWEST if self.falls else 1, n_steps)


class Taught(NamedTuple):
    """A learner after its lesson."""

    learner: Learner
    parameters: Float[Tensor, " params"]

    @torch.no_grad()
    def measure(self, part: Part) -> Measured:
        """Classify a part in batches of one size, as the statistics of each are what it sees."""
        batches = part.images.tensor_split(-(-len(part) // BATCH_SIZE))
        logits = torch.cat([self.learner.logits(self.parameters, batch) for batch in batches])
        return measured(logits, part.labels)


@dataclass(frozen=True, kw_only=True)
class Lessons:
    """What the same lesson taught several random networks."""

    accuracies: Mapping[str, Sequence[float]]
    """By name of the part that was measured, one a network."""
    seconds: float
    """Of one network: building and teaching it."""

    def flat(self) -> dict[str, object]:
        """Write it as a table has it: of each part the mean, its 95 % interval, and all values.

        The interval is that of a mean of independent values, over the networks alone.
        """
        found: dict[str, object] = {"seconds_a_network": self.seconds}
        for part, values in self.accuracies.items():
            error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
            found |= {
                f"{part}_accuracy": fmean(values),
                f"{part}_low": fmean(values) - NORMAL_95 * error,
                f"{part}_high": fmean(values) + NORMAL_95 * error,
                f"{part}_accuracies": list(values),
            }
        return found


def teach_network(space: SearchSpace, task: Task, lesson: Lesson, *, seed: int) -> Taught:
    """Teach the random network of a seed: for every lesson the same initial weights."""
    data = lesson.data
    network = space.sample_network(seed, task).to(data.images.device)
    learner = Learner(network, owned=True)
    unrolled = unroll(learner, learner.initial, data, lesson.inner_loop)
    return Taught(learner, unrolled.parameters[len(data.images)])


def give_lessons(
    space: SearchSpace,
    task: Task,
    lesson: Callable[[int], Lesson],
    parts: Mapping[str, Part],
    *,
    seeds: Sequence[int],
) -> Lessons:
    """Teach the random network of each seed, and measure it on each part."""
    found: dict[str, list[float]] = {name: [] for name in parts}
    seconds = 0.0
    for seed in seeds:
        given = lesson(seed)
        start = time.perf_counter()
        taught = teach_network(space, task, given, seed=seed)
        seconds += time.perf_counter() - start
        for name, part in parts.items():
            found[name].append(taught.measure(part).accuracy)
    return Lessons(accuracies=found, seconds=seconds / len(seeds))


def real_lesson(
    splits: Splits,
    batches: tuple[int, int],
    rates: Rates,
    inner_loop: InnerLoopConfig,
    *,
    seed: int,
) -> Lesson:
    """Make a lesson of real training batches, so many and so large."""
    budget = RealBudget(*batches)
    images, labels = real_batches(splits.train, splits.task.n_classes, budget, seed=seed)
    rate = rates.of(batches[0]).to(images)
    momenta = torch.full_like(rate, inner_loop.momentum)
    return Lesson(SyntheticData(images, labels, rate, momenta), inner_loop)


def best_rates(
    space: SearchSpace,
    splits: Splits,
    lesson: Callable[[Rates, int], Lesson],
    choices: Iterable[Rates],
    *,
    seeds: Sequence[int],
) -> Rates:
    """Find the rates that teach best, by mean validation accuracy over the networks of `seeds`.

    Args:
        space: Where the networks come from.
        splits: Test is not read.
        lesson: Makes the lesson of some rates for the network of a seed.
        choices: What to choose from; of equals the first.
        seeds: One a network.
    """

    def merit(rates: Rates) -> float:
        parts = {"validation": splits.validation}
        found = give_lessons(space, splits.task, partial(lesson, rates), parts, seeds=seeds)
        return fmean(found.accuracies["validation"])

    return max(choices, key=merit)
