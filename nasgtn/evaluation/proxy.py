"""The proxy: a few steps on synthetic batches, then a look at real validation images.

`RealSteps` does the same with real batches: what the generator has to beat.
"""

import math
import re
from dataclasses import dataclass, replace
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vmap
from torch.nn import functional as F

from nasgtn.data import Part, Splits
from nasgtn.errors import DivergedError, InvalidConfigError
from nasgtn.evaluation.evaluator import Report, Scores
from nasgtn.gtn import (
    CurriculumConfig,
    InnerLoopConfig,
    Learner,
    SyntheticData,
    TrainedGenerator,
    in_turn,
    late_steps,
    soft_accuracy,
    steps,
)
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.spaces.cost import count_in, count_multiply_adds
from nasgtn.task import Task

METRICS = (
    "soft_accuracy",
    "accuracy",
    "loss",
    "soft_accuracy_area",
    "accuracy_area",
    "loss_area",
    "training_loss",
    "late_training_loss",
)


@dataclass(frozen=True, kw_only=True)
class ProxyConfig:
    """How the proxy trains and scores one architecture."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    n_steps: int | None = None
    """Synthetic steps; None: all that the curriculum has."""
    n_seeds: int = 1
    """Initial weights of each architecture; the score is the mean."""
    metric: str | None = None
    """None: what the generator taught its anchors to be ordered by
    (`gtn.meta_training.rank_score`). `soft_accuracy` (see `nasgtn.gtn.scores`), `accuracy` or
    `loss` (its negative) on real images after the last step; `*_area`: their means over the
    probes; `training_loss`: the negative mean of the training losses, `late_training_loss`: of the
    last quarter of them. Higher is better in all."""
    n_probes: int = 1
    """How often validation is looked at, evenly spaced, the last time after the last step."""
    rungs: tuple[int, ...] = ()
    """Steps after which it is looked at, in place of even ones, beside the last: `[4, 8]` of 16.
    There a search that prunes may stop a candidate."""
    n_images: int = 512
    """Real images of a probe, at most: validation images, and training images where those are
    too few."""
    bf16: bool = False
    """Let autocast compute forward and backward passes in bfloat16 where that is safe; parameters
    and optimiser stay float32. Several seeds go one by one then, on a GPU, too, and each has the
    memory of a recorded step."""

    def __post_init__(self) -> None:
        if self.metric is not None and self.metric not in METRICS:
            raise InvalidConfigError(
                f"proxy.metric must be one of {', '.join(METRICS)}, got {self.metric!r}"
            )
        for name in ("n_steps", "n_seeds", "n_probes", "n_images"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidConfigError(f"proxy.{name} must be at least 1, got {value}")
        if self.rungs and not (self.rungs[0] >= 1 and list(self.rungs) == sorted({*self.rungs})):
            raise InvalidConfigError(
                f"proxy.rungs must be rising numbers of steps, from 1, got {list(self.rungs)}"
            )
        if self.rungs and self.n_probes > 1:
            raise InvalidConfigError(
                f"proxy.rungs takes the place of proxy.n_probes, got both ({self.n_probes} probes)"
            )

    def probed(self, n_steps: int) -> tuple[int, ...]:
        """Say after which of `n_steps` steps the score is looked at; the last one is among them.

        >>> ProxyConfig(n_probes=2).probed(16), ProxyConfig(rungs=(4, 8, 32)).probed(16)
        ((8, 16), (4, 8, 16))
        """
        if self.rungs:
            return (*(rung for rung in self.rungs if rung < n_steps), n_steps)
        even = {round(n_steps * (n + 1) / self.n_probes) for n in range(self.n_probes)}
        return tuple(sorted(even))

    def scored_by(self, metric: str) -> "ProxyConfig":
        """Score by this metric where none is set."""
        return self if self.metric else replace(self, metric=metric)


class GtnProxy:
    """Trains a fresh network on the synthetic batches, the same for every architecture.

    Args:
        space: Where the architectures come from.
        task: What their networks are built for, but for the size of the images.
        synthetic: The generator's batches, made once; networks are built for images of their
            size, and the real ones are resized to it.
        probe: Real images to be scored on, at most `config.n_images` of them; networks run on
            their device.
        config: How long, how often, what counts.
        inner_loop: The optimiser that the batches were made for.
    """

    name = "gtn"

    def __init__(
        self,
        space: SearchSpace,
        task: Task,
        synthetic: SyntheticData,
        probe: Part,
        config: ProxyConfig,
        inner_loop: InnerLoopConfig,
    ) -> None:
        n_steps = config.n_steps or len(synthetic.images)
        if n_steps > len(synthetic.images):
            raise InvalidConfigError(
                f"proxy.n_steps must be at most {len(synthetic.images)}, the steps of the "
                f"generator, got {n_steps}"
            )
        self._synthetic = SyntheticData(*(rows[:n_steps] for rows in synthetic))
        self.rungs = config.probed(n_steps)
        """Steps after which the score is told."""
        height, width = synthetic.images.shape[-2:]
        task = replace(task, height=height, width=width)
        probe = probe.first(config.n_images).resized(height, width)
        self._probing = _Probing(space, task, probe, config, inner_loop)

    @classmethod
    def of(
        cls, trained: TrainedGenerator, space: SearchSpace, splits: Splits, config: ProxyConfig
    ) -> "GtnProxy":
        """Make the proxy of a trained generator, scored on the real images of `splits`."""
        return cls(
            trained.look_alikes(space),
            splits.task,
            trained.synthesise(),
            splits.probe(config.n_images),
            config.scored_by(trained.config.meta_training.rank_score),
            trained.config.inner_loop,
        )

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        return self._probing.score(architecture, self._synthetic, seed, report)

    def multiply_adds(self, architecture: Architecture) -> int:
        return self._probing.multiply_adds(architecture, self._synthetic)


class RealBudget(NamedTuple):
    """How much real training: what the name of `RealSteps` says."""

    n_steps: int
    batch_size: int
    n_batches: int | None = None
    """Different ones, which come in turn; None: one a step."""
    learning_rate: float | None = None
    """Of all steps; None: the optimiser's."""

    @classmethod
    def like(
        cls, curriculum: CurriculumConfig, n_classes: int, n_steps: int | None
    ) -> "RealBudget":
        """Take as many steps and batches as a proxy; `n_steps` None: all of the curriculum."""
        steps, batches = n_steps or curriculum.n_steps, curriculum.different_batches(n_classes)
        return cls(steps, curriculum.batch_size, batches if batches < steps else None)

    @classmethod
    def read(cls, name: str, batch_size: int) -> "RealBudget":
        """Read `real:N`, `real:N/B`, `real:N@RATE` or `real:N/B@RATE`.

        Raises:
            InvalidConfigError: N, B or RATE is no positive number, or B above N.
        """
        found = re.fullmatch(r"real:(\d+)(?:/(\d+))?(?:@(.+))?", name)
        try:
            steps, batches, rate = found.groups() if found else ("0", None, None)
            n_steps, n_batches = int(steps), int(batches) if batches else None
            learning_rate = float(rate) if rate else None
        except ValueError:
            n_steps, n_batches, learning_rate = 0, None, None
        is_rate = learning_rate is None or 0 < learning_rate < math.inf
        if n_steps < 1 or n_batches == 0 or (n_batches or 1) > n_steps or not is_rate:
            raise InvalidConfigError(
                "real:N, real:N/B, real:N@RATE or real:N/B@RATE needs a positive number of steps, "
                f"no more different batches than steps, and a positive learning rate, got {name!r}"
            )
        return cls(n_steps, batch_size, n_batches, learning_rate)

    @property
    def name(self) -> str:
        batches = f"/{self.n_batches}" if self.n_batches else ""
        rate = f"@{self.learning_rate:g}" if self.learning_rate else ""
        return f"real:{self.n_steps}{batches}{rate}"


class RealSteps:
    """Trains a fresh network on real batches, with the proxy's optimiser and probes.

    Args:
        space: Where the architectures come from.
        splits: Learns from the training part, in shuffled passes, another order for each seed, or
            from few batches of all classes; the probes look at validation and training images.
            Test is never read.
        budget: Steps, and images a step.
        config: As for the proxy; its `n_steps` is not read.
        inner_loop: The optimiser.
    """

    def __init__(
        self,
        space: SearchSpace,
        splits: Splits,
        budget: RealBudget,
        config: ProxyConfig,
        inner_loop: InnerLoopConfig,
    ) -> None:
        self.name, self._budget = budget.name, budget
        self._rate = budget.learning_rate or inner_loop.learning_rate
        self._momentum = inner_loop.momentum
        self._train, self._n_classes = splits.train, splits.task.n_classes
        probe = splits.probe(config.n_images)
        self._probing = _Probing(space, splits.task, probe, config, inner_loop)

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        return self._probing.score(architecture, self._batches(seed), seed, report)

    def multiply_adds(self, architecture: Architecture) -> int:
        return self._probing.multiply_adds(architecture, self._batches(seed=0))

    def _batches(self, seed: int) -> SyntheticData:
        images, labels = real_batches(self._train, self._n_classes, self._budget, seed=seed)
        setting = images.new_ones(len(images))
        return SyntheticData(images, labels, setting * self._rate, setting * self._momentum)


def real_batches(
    train: Part, n_classes: int, budget: RealBudget, *, seed: int
) -> tuple[
    Float[Tensor, "steps batch channels height width"], Float[Tensor, "steps batch classes"]
]:
    """Draw the real batch of each step; labels become one-hot.

    One a step comes from shuffled passes. Those that come in turn have all classes alike often, as
    synthetic ones do: few images at random may leave classes out.
    """
    rng = torch_rng(derive_seed(seed, "batches"))
    n_steps, batch_size = budget.n_steps, budget.batch_size
    if budget.n_batches:
        shape = budget.n_batches, batch_size
        drawn = train.of_classes(torch.arange(math.prod(shape)) % n_classes, rng)
        images = in_turn(drawn.images.unflatten(0, shape), n_steps)
        labels = in_turn(drawn.labels.unflatten(0, shape), n_steps)
        return images, F.one_hot(labels, n_classes).to(images.dtype)
    n_images = n_steps * batch_size
    passes = [torch.randperm(len(train), generator=rng) for _ in range(-(-n_images // len(train)))]
    index = torch.cat(passes)[:n_images].view(n_steps, batch_size).to(train.labels.device)
    images = train.images[index]
    return images, F.one_hot(train.labels[index], n_classes).to(images.dtype)


@dataclass(frozen=True)
class _Probing:
    """Trains networks on given batches, and looks at validation images on the way."""

    space: SearchSpace
    task: Task
    probe: Part
    config: ProxyConfig
    inner_loop: InnerLoopConfig

    def score(
        self, architecture: Architecture, data: SyntheticData, seed: int, report: Report | None
    ) -> Scores:
        learners = self._initialise(architecture, seed)
        n_steps, metric = len(data.images), self.config.metric or METRICS[0]
        due = {*self.config.probed(n_steps)}
        losses, probes, curve = [], [], []
        runs = [steps(*learner, data, self.inner_loop) for learner in learners]
        for number, step in enumerate(zip(*runs, strict=True), start=1):
            losses.append(torch.stack([loss.mean() for _, loss in step]).mean())
            if number not in due:
                continue
            seen = [
                self._probe(learner, after)
                for (learner, _), (after, _) in zip(learners, step, strict=True)
            ]
            probes.append(torch.stack(seen).mean(dim=0))
            metrics = _summary(probes, losses)
            curve.append((number, metrics[metric]))
            if report is not None and not report(number, metrics[metric]):
                break
        metrics = _summary(probes, losses)
        if not math.isfinite(metrics["loss"]):  # its accuracy looks like chance
            raise DivergedError(f"the learner's loss must be finite, got {-metrics['loss']}")
        return Scores(score=metrics[metric], metrics=metrics, curve=tuple(curve))

    def multiply_adds(self, architecture: Architecture, data: SyntheticData) -> int:
        """Count those of one step and of one image that is looked at, and multiply."""
        network = self.space.network(architecture.choices, self.task, seed=0)
        an_image = count_multiply_adds(network, self.task)
        learner = Learner(network.to(data.images.device), owned=True)
        first = SyntheticData(*(rows[:1] for rows in data))
        run = steps(learner, learner.initial, first, self.inner_loop)
        a_step = count_in(lambda: next(run))
        n_steps = len(data.images)
        n_images = len(self.config.probed(n_steps)) * len(self.probe.images)
        return self.config.n_seeds * (n_steps * a_step + n_images * an_image)

    def _initialise(
        self, architecture: Architecture, seed: int
    ) -> list[tuple[Learner, Float[Tensor, "*seeds params"]]]:
        """Build the networks: side by side in one learner on a GPU in float32, else one by one.

        That is faster on a CPU, where `vmap` makes grouped convolutions of them; and `vmap` has no
        batch normalisation in bfloat16.
        """
        learners = [
            Learner(
                self.space.network(
                    architecture.choices, self.task, seed=derive_seed(seed, "network", index)
                ).to(self.probe.images.device),
                owned=True,
                bf16=self.config.bf16,
            )
            for index in range(self.config.n_seeds)
        ]
        if len(learners) == 1 or self.probe.images.device.type == "cpu" or self.config.bf16:
            return [(learner, learner.initial) for learner in learners]
        return [(learners[0], torch.stack([learner.initial for learner in learners]))]

    @torch.no_grad()
    def _probe(self, learner: Learner, parameters: Tensor) -> Float[Tensor, "3"]:
        """Measure soft accuracy, accuracy and negative loss; means over the seeds."""
        images, labels = self.probe.images, self.probe.labels
        if parameters.dim() == 2:
            logits = vmap(learner.logits, in_dims=(0, None))(parameters, images)
        else:
            logits = learner.logits(parameters, images).unsqueeze(0)
        n_seeds = len(logits)
        accuracy = (logits.argmax(dim=-1) == labels).float().mean()
        loss = F.cross_entropy(logits.flatten(0, 1), labels.repeat(n_seeds))
        return torch.stack([soft_accuracy(logits, labels).mean(), accuracy, -loss])


def _summary(probes: list[Tensor], losses: list[Tensor]) -> dict[str, float]:
    """Name the numbers of `METRICS`; one transfer from the device."""
    measured, training = torch.stack(probes), torch.stack(losses)
    values = (
        *measured[-1],
        *measured.mean(dim=0),
        -training.mean(),
        -training[late_steps(len(losses))].mean(),
    )
    return dict(zip(METRICS, torch.stack(values).tolist(), strict=True))
