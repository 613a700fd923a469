"""Which optimiser learners get: the one whose short training orders the anchors better."""

from collections.abc import Sequence
from dataclasses import replace

from nasgtn.data import Part
from nasgtn.gtn.optimisers import InnerLoopConfig
from nasgtn.gtn.selection import Jury
from nasgtn.gtn.synthesis import Gtn
from nasgtn.gtn.trained import GtnConfig
from nasgtn.gtn.warm_start import warm_start
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import SearchSpace
from nasgtn.task import Task

MUON = InnerLoopConfig()
ADAM = InnerLoopConfig(optimiser="adam", learning_rate=0.02, momentum=0.7)
CHOICES = (MUON, ADAM)
"""The first one stands where both order alike, or nothing can be told."""
MIN_ANCHORS = 8
"""With fewer the choice is as good as chance."""


def choose_inner_loop(  # noqa: PLR0913 - what it reads, and how
    config: GtnConfig,
    space: SearchSpace,
    task: Task,
    train: Part,
    probe: Part,
    anchors: Sequence[Evaluation],
    *,
    seed: int,
    progress: Progress = silent,
) -> InnerLoopConfig:
    """Train the anchors on *real* batches by each optimiser; take the one that orders them better.

    As many steps and batches as the curriculum has, and the score that the proxy will have; what
    counts is the share of pairs in the order of their merits. Which optimiser suits depends on the
    kind of networks far more than on the images: convolutions want Muon, perceptrons Adam.

    Args:
        config: What is chosen for.
        space: Builds the anchors.
        task: With the size of the generator's images.
        train: Real images of that size.
        probe: The same, that scores are measured on.
        anchors: With their merits; with fewer than `MIN_ANCHORS` nothing is chosen.
        seed: Of images and weights.
        progress: Told after each optimiser.
    """
    is_default = config.inner_loop == MUON  # what the user has set is kept
    if not config.choose_optimiser or not is_default or len(anchors) < MIN_ANCHORS:
        return config.inner_loop
    jury = Jury(
        space=space,
        probe=probe,
        learned=(),
        held_out=anchors,
        score=config.meta_training.rank_score,
        seed=derive_seed(seed, "jury"),
    )
    curriculum = replace(config.curriculum, variant="real")
    shares: list[float] = []
    for inner_loop in CHOICES:
        synthesis = replace(config.synthesis, curriculum=curriculum, inner_loop=inner_loop)
        gtn = Gtn(task, synthesis, seed=derive_seed(seed, "images")).to(train.images.device)
        warm_start(gtn, train, config.warm_start, torch_rng(derive_seed(seed, "images")))
        shares.append(jury.judge(gtn))
        note = f"{inner_loop.optimiser} orders {shares[-1]:.2f} of the anchors' pairs"
        progress("optimiser", len(shares), len(CHOICES), note)
    return CHOICES[shares.index(max(shares))]
