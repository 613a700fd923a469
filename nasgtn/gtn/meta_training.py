"""Meta-training: the generator learns from how well the learners do that it taught."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from nasgtn.data import Part
from nasgtn.errors import DivergedError, InvalidConfigError
from nasgtn.gtn.gradients import soft_cross_entropy
from nasgtn.gtn.inner_loop import unroll
from nasgtn.gtn.learner import Learner
from nasgtn.gtn.rank_term import RankTerm
from nasgtn.gtn.scores import SCORES, late_steps, soft_accuracy
from nasgtn.gtn.synthesis import Gtn
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import Family, SearchSpace


@dataclass(frozen=True, kw_only=True)
class MetaTrainingConfig:
    """The outer loop: Adam on the meta-loss, its learning rate annealed by a cosine to a tenth."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    n_meta_steps: int = 100
    """0 leaves the generator as the warm start made it."""
    learning_rate: float = 0.001
    settings_learning_rate: float = 0.003
    """Learning rate of the learned learning rates and momenta, on their log and logit scales.
    Low: the meta-loss asks for high rates, which teach faster and order architectures worse."""
    betas: tuple[float, float] = (0.9, 0.99)
    epsilon: float = 1e-8
    clip: float = 2.0
    """Gradients are cut to this many times their running mean norm."""
    probe_every: int = 4
    """Steps between intermediate meta-losses; the last step always has one."""
    n_images: int = 192
    """Real images of each meta-loss."""
    learners: int = 1
    """Networks a meta-step, each of a new random architecture."""
    hold_out: tuple[str, ...] = ()
    """Families that no learner belongs to, each as `choice=value[,choice=value]`."""
    rank_weight: float = 0.3
    """Of the rank term, beside a weight of 1 for cross-entropy; 0: none."""
    rank_score: str = "soft_accuracy"
    """What the rank term orders the anchors by, and so what the proxy scores with:
    `soft_accuracy` on real images after the last step, or `late_training_loss`, the negative mean
    loss on the synthetic batches of the last quarter of the steps."""
    rank_temperature: float = 0.5
    """Difference of two scores, in standard deviations, at which their order counts as settled."""
    anchor_share: float = 0.5
    """Share of the meta-steps whose learner is an anchor, where there are anchors, in [0, 1]."""
    held_out_anchors: float = 0.25
    """Share of the anchors that nothing is learned from: they choose which state is kept."""
    patience: int = 4
    """So many looks at the held-out anchors in a row that find a clearly worse order than the
    best one end meta-training."""
    checkpointed: bool = False
    """Compute each inner step again on the way back: less memory, about a third more time."""
    bf16: bool = False
    """Let autocast compute the learners' forward and backward passes in bfloat16 where that is
    safe; parameters, optimisers and generator stay float32."""
    save_every: int = 50
    """Meta-steps between looks at the held-out anchors, and between checkpoints that an
    interrupted run goes on from."""
    max_skipped: int = 20
    """So many meta-steps in a row without a finite meta-loss end meta-training."""

    def __post_init__(self) -> None:
        for names, holds, what in _LIMITS:
            for name in names:
                if not holds(getattr(self, name)):
                    raise InvalidConfigError(f"{name} must be {what}, got {getattr(self, name)}")
        if self.rank_score not in SCORES:
            raise InvalidConfigError(
                f"rank_score must be one of {', '.join(SCORES)}, got {self.rank_score!r}"
            )
        for family in self.hold_out:
            Family.parse(family)


_LIMITS: tuple[tuple[tuple[str, ...], Callable[[float], bool], str], ...] = (
    (("n_meta_steps", "rank_weight"), lambda value: 0 <= value < math.inf, "at least 0"),
    (
        ("probe_every", "n_images", "learners", "patience", "save_every", "max_skipped"),
        lambda value: value >= 1,
        "at least 1",
    ),
    (
        ("learning_rate", "settings_learning_rate", "epsilon", "clip", "rank_temperature"),
        lambda value: value > 0,
        "above 0",
    ),
    (("anchor_share", "held_out_anchors"), lambda value: 0 <= value <= 1, "in [0, 1]"),
)


@dataclass(frozen=True, kw_only=True)
class MetaStep:
    """How one meta-step went."""

    meta_step: int
    """Counts from 1."""
    meta_loss: float | None
    """Mean over the probes, in nats; None where it was not finite and the step was skipped."""
    accuracy: float
    """Of the learners after their last step, on a real batch; mean over the learners."""
    rank_loss: float | None
    """The rank term, in nats; None where no learner was an anchor."""
    gradient_norm: float | None
    seconds: float
    order: float | None = None
    """Share of the pairs with a held-out anchor that score in the right order after this
    meta-step, in [0, 1]; None where nobody looked."""


class Taught(NamedTuple):
    """How well a learner does that the synthetic batches taught."""

    cross_entropy: Float[Tensor, ""]
    """Mean over the probes in nats, with its graph (arXiv 1912.07768, sec. 3)."""
    score: Float[Tensor, ""]
    """The configured `rank_score`, with its graph."""
    accuracy: Float[Tensor, ""]
    """After the last step, in [0, 1]."""


def teach(
    gtn: Gtn, learner: Learner, train: Part, config: MetaTrainingConfig, rng: torch.Generator
) -> Taught:
    """Teach one learner and measure it on fresh real batches."""
    data = gtn.synthesise(rng, checkpointed=config.checkpointed)
    n_steps = len(data.images)
    probes = {*range(config.probe_every, n_steps + 1, config.probe_every), n_steps}
    late = late_steps(n_steps) if config.rank_score == "late_training_loss" else range(0)
    unrolled = unroll(
        learner,
        learner.initial,
        data,
        gtn.config.inner_loop,
        keep=probes.union(late),
        graph="checkpointed" if config.checkpointed else "whole",
    )
    after = {0: learner.initial, **unrolled.parameters}

    def logits_of(step: int, images: Tensor) -> Tensor:
        if config.checkpointed:
            return checkpoint(learner.logits, after[step], images, use_reentrant=False)  # type: ignore[no-any-return]
        return learner.logits(after[step], images)

    losses = []
    for step in sorted(probes):
        real = train.sample(config.n_images, rng)
        logits = logits_of(step, real.images)
        losses.append(F.cross_entropy(logits, real.labels))
    if late:  # `unroll` has these losses too, without a graph
        fits = [soft_cross_entropy(logits_of(n, data.images[n]), data.labels[n]) for n in late]
        score = -torch.stack(fits).mean()
    else:
        score = soft_accuracy(logits, real.labels)
    return Taught(
        torch.stack(losses).mean(),
        score,
        (logits.detach().argmax(dim=1) == real.labels).float().mean(),
    )


class MetaTraining:
    """Meta-training under way: changes its `Gtn` in place, one meta-step a call.

    A meta-step depends on the state, the seed and its number alone, so that a training that was
    interrupted goes on as if it had not been.

    Args:
        gtn: What learns.
        space: Learners are networks of random architectures of it.
        train: Real images that the learners are measured on.
        config: The outer loop.
        seed: Decides architectures, initial weights and real batches.
        anchors: Architectures of known merit (their score), for the rank term.
    """

    def __init__(
        self,
        gtn: Gtn,
        space: SearchSpace,
        train: Part,
        config: MetaTrainingConfig,
        *,
        seed: int,
        anchors: Sequence[Evaluation] = (),
    ) -> None:
        self.gtn = gtn
        self.n_done = 0
        """Meta-steps so far."""
        self._space, self._train, self._config, self._seed = space, train, config, seed
        self._anchors = anchors
        merits = [anchor.score for anchor in anchors]
        self._rank_term = RankTerm(torch.tensor(merits), config.rank_temperature)
        self._optimiser = _make_optimiser(gtn, config)
        self._n_skipped = 0
        self._running_norm: float | None = None

    def meta_step(self) -> MetaStep:
        """Do one meta-step; where it is not finite, leave everything as it was and count it.

        Raises:
            DivergedError: `max_skipped` meta-steps in a row were not finite.
        """
        start = time.perf_counter()
        for group in self._optimiser.param_groups:
            group["lr"] = group["initial_lr"] * self._annealing()
        self._optimiser.zero_grad()
        loss, accuracy, rank_loss = self._backward()
        gradients = [p.grad for p in self.gtn.parameters() if p.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients).item()
        finite = math.isfinite(loss) and math.isfinite(norm)
        if finite:
            self._clip(gradients, norm)
            self._optimiser.step()
        self._n_skipped = 0 if finite else self._n_skipped + 1
        self.n_done += 1
        if self._n_skipped == self._config.max_skipped:
            raise DivergedError(
                "meta-training must have finite meta-losses, but the last "
                f"{self._n_skipped} meta-steps had none (at meta-step {self.n_done}); lower "
                "gtn.inner_loop.learning_rate or gtn.meta_training.learning_rate"
            )
        return MetaStep(
            meta_step=self.n_done,
            meta_loss=loss if finite else None,
            accuracy=accuracy,
            rank_loss=rank_loss if finite else None,
            gradient_norm=norm if finite else None,
            seconds=time.perf_counter() - start,
        )

    def state(self) -> dict[str, Tensor]:
        """Everything that the coming meta-steps depend on, by name."""
        moments = {
            f"optimiser.{index}.{name}": value
            for index, values in self._optimiser.state_dict()["state"].items()
            for name, value in values.items()
        }
        norm = math.nan if self._running_norm is None else self._running_norm
        counters = torch.tensor([self.n_done, self._n_skipped, norm], dtype=torch.float64)
        learned = {f"gtn.{name}": value for name, value in self.gtn.state_dict().items()}
        scores = self._rank_term.scores
        return {**learned, **moments, "counters": counters, "anchor_scores": scores}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Go back to a state that `state` returned."""
        learned = {name[4:]: value for name, value in state.items() if name.startswith("gtn.")}
        self.gtn.load_state_dict(learned)
        whole = self._optimiser.state_dict()
        whole["state"] = {}
        for name, value in state.items():
            if name.startswith("optimiser."):
                _, index, moment = name.split(".")
                whole["state"].setdefault(int(index), {})[moment] = value
        self._optimiser.load_state_dict(whole)
        self._rank_term.scores = state["anchor_scores"].clone()
        done, skipped, norm = state["counters"].tolist()
        self.n_done, self._n_skipped = int(done), int(skipped)
        self._running_norm = None if math.isnan(norm) else norm

    def _backward(self) -> tuple[float, float, float | None]:
        """Add up the meta-gradients of this meta-step's learners.

        Returns:
            Means over the learners: meta-loss, accuracy, and the rank term of those that are
            anchors.
        """
        losses, accuracies, rank_losses = [], [], []
        for index in range(self._config.learners):
            stream = derive_seed(self._seed, "meta-step", self.n_done, index)
            anchor = self._anchor(self.n_done * self._config.learners + index)
            network = (
                self._space.sample_network(stream, self.gtn.task)
                if anchor is None
                else self._space.network(self._anchors[anchor].choices, self.gtn.task, seed=stream)
            )
            network = network.to(self._train.images.device)
            learner = Learner(network, owned=True, bf16=self._config.bf16)
            taught = teach(self.gtn, learner, self._train, self._config, torch_rng(stream))
            loss = taught.cross_entropy
            if anchor is not None:
                score = taught.score.cpu()
                rank_loss = self._rank_term.loss(anchor, score)
                self._rank_term.remember(anchor, score.item())
                rank_losses.append(rank_loss.item())
                loss = loss + self._config.rank_weight * rank_loss.to(loss.device)
            (loss / self._config.learners).backward()
            losses.append(loss.detach())
            accuracies.append(taught.accuracy)
        return (
            torch.stack(losses).mean().item(),
            torch.stack(accuracies).mean().item(),
            fmean(rank_losses) if rank_losses else None,
        )

    def _anchor(self, number: int) -> int | None:
        """Choose the anchor that the learner of this number is: each once in a random order."""
        if not self._anchors or self._config.rank_weight == 0:
            return None
        share = self._config.anchor_share
        turn = math.floor(number * share)
        if math.floor((number + 1) * share) == turn:
            return None
        lap, place = divmod(turn, len(self._anchors))
        rng = torch_rng(derive_seed(self._seed, "anchors", lap))
        return int(torch.randperm(len(self._anchors), generator=rng)[place])

    def _annealing(self) -> float:
        """Cosine from 1 to a tenth over the meta-steps."""
        return 0.1 + 0.45 * (1 + math.cos(math.pi * self.n_done / self._config.n_meta_steps))

    def _clip(self, gradients: list[Tensor], norm: float) -> None:
        """Cut the gradients to a multiple of their running mean norm."""
        running = self._running_norm or norm
        allowed = self._config.clip * running
        self._running_norm = 0.9 * running + 0.1 * min(norm, allowed)
        if norm > allowed:
            for gradient in gradients:
                gradient.mul_(allowed / norm)


def _make_optimiser(gtn: Gtn, config: MetaTrainingConfig) -> torch.optim.Adam:
    """Make the meta-optimiser: one group for what makes images, one for optimiser settings."""
    settings = [gtn.curriculum.log_rates, gtn.curriculum.momentum_logits]
    others = [p for p in gtn.parameters() if not any(p is s for s in settings)]
    groups = [(others, config.learning_rate), (settings, config.settings_learning_rate)]
    return torch.optim.Adam(
        [
            {"params": trainable, "lr": rate, "initial_lr": rate}
            for group, rate in groups
            if (trainable := [p for p in group if p.requires_grad])
        ],
        betas=config.betas,
        eps=config.epsilon,
    )
