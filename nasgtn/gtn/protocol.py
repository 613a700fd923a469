"""How learners are trained and scored: the way whose short training orders the anchors best."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from nasgtn.data import Part
from nasgtn.gtn.optimisers import InnerLoopConfig
from nasgtn.gtn.scores import SCORES
from nasgtn.gtn.selection import Jury
from nasgtn.gtn.synthesis import Gtn
from nasgtn.gtn.trained import GtnConfig
from nasgtn.gtn.warm_start import warm_start
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import SearchSpace
from nasgtn.task import Task


class TrainingProtocol(NamedTuple):
    """An optimiser, and the score that its trainings end in."""

    inner_loop: InnerLoopConfig
    score: str
    """One of `nasgtn.gtn.scores.SCORES`."""

    def __str__(self) -> str:
        optimiser, rate = self.inner_loop.optimiser, self.inner_loop.learning_rate
        return f"{optimiser} at {rate:g}, scored by {self.score.replace('_', ' ')}"


def in_words(config: GtnConfig, score: str | None = None) -> str:
    """Say how learners are trained and scored, and which look-alikes stand for real networks.

    Args:
        config: Of a trained generator.
        score: What the proxy is scored by in place of the generator's own.
    """
    protocol = TrainingProtocol(config.inner_loop, score or config.meta_training.rank_score)
    options = ", ".join(
        f"{name} = {value}" for name, value in (config.space_options or {}).items()
    )
    return f"{protocol}" + (f", as look-alikes with {options}" if options else "")


MUON = InnerLoopConfig()
ADAM = InnerLoopConfig(optimiser="adam", learning_rate=0.02, momentum=0.7)
SLOW = InnerLoopConfig(learning_rate=0.005)
LEARNING, FITTING = SCORES
CHOICES = (
    TrainingProtocol(MUON, LEARNING),
    TrainingProtocol(ADAM, LEARNING),
    TrainingProtocol(ADAM, FITTING),
    TrainingProtocol(SLOW, FITTING),
)
"""The first one stands where all order alike, or nothing can be told. Shallow networks show what
they are worth by what they learn in a few steps; deep ones with shortcuts, which learn nothing so
soon, by how fast they fit a batch."""
INNER_LOOPS = tuple(dict.fromkeys(one.inner_loop for one in CHOICES))
MIN_ANCHORS = 8
"""With fewer the choice is as good as chance."""
MARGIN = 0.05
"""Share of the pairs that must be in order beyond those of the best score on real images before
the loss on a batch counts: there are more ways to be lucky than one."""


def choose_protocol(  # noqa: PLR0913 - what it reads, and how
    config: GtnConfig,
    space: SearchSpace,
    task: Task,
    train: Part,
    probe: Part,
    anchors: Sequence[Evaluation],
    *,
    seed: int,
    progress: Progress = silent,
) -> TrainingProtocol:
    """Train the anchors on *real* batches in each way; take the one that orders them best.

    As many steps and batches as the curriculum has, and the score that the proxy will have unless
    `proxy.metric` sets another; what counts is the share of pairs in the order of their merits.
    Which way suits depends on the kind of networks far more than on the images: shallow
    convolutions want Muon, perceptrons Adam, deep residual networks the loss on the batch.

    Args:
        config: What is chosen for. An optimiser of its own is kept, and so is a score.
        space: Builds the anchors.
        task: With the size of the generator's images.
        train: Real images of that size.
        probe: The same, that scores are measured on.
        anchors: With their merits; with fewer than `MIN_ANCHORS` nothing is chosen.
        seed: Of images and weights.
        progress: Told after each training of the anchors.
    """
    score = config.meta_training.rank_score
    given = TrainingProtocol(config.inner_loop, score)
    if not config.lets_choose or len(anchors) < MIN_ANCHORS:
        return given
    choices = CHOICES if score == LEARNING else [one._replace(score=score) for one in CHOICES]
    jury = Jury(
        space=space,
        probe=probe,
        learned=(),
        held_out=anchors,
        score=score,
        seed=derive_seed(seed, "jury"),
        bf16=config.meta_training.bf16,
    )
    curriculum = replace(config.curriculum, variant="real")
    shares: dict[TrainingProtocol, float] = {}
    for number, inner_loop in enumerate(INNER_LOOPS, start=1):
        synthesis = replace(config.synthesis, curriculum=curriculum, inner_loop=inner_loop)
        gtn = Gtn(task, synthesis, seed=derive_seed(seed, "images")).to(train.images.device)
        warm_start(gtn, train, config.warm_start, torch_rng(derive_seed(seed, "images")))
        scores = {one.score for one in choices if one.inner_loop == inner_loop}
        found = jury.judge_by(gtn, sorted(scores))
        shares |= {TrainingProtocol(inner_loop, name): share for name, share in found.items()}
        note = "; ".join(
            f"{TrainingProtocol(inner_loop, name)}: {found[name]:.2f}" for name in found
        )
        progress("protocol", number, len(INNER_LOOPS), f"anchors' pairs in order by {note}")
    usual = max((one for one in choices if one.score == score), key=shares.__getitem__)
    other = max(choices, key=shares.__getitem__)
    return other if shares[other] > shares[usual] + MARGIN else usual
