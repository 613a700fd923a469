"""train_generator: warm start and meta-training, with a log and checkpoints to go on from."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from torch import Tensor

from nasgtn.artefacts import META_CHECKPOINT, META_TRAINING, write_text
from nasgtn.data import Splits
from nasgtn.gtn.meta_training import MetaStep, MetaTraining
from nasgtn.gtn.protocol import INNER_LOOPS, TrainingProtocol, choose_protocol
from nasgtn.gtn.scores import SCORES
from nasgtn.gtn.selection import Jury
from nasgtn.gtn.synthesis import Gtn
from nasgtn.gtn.trained import (
    GtnConfig,
    TrainedGenerator,
    read_tensors,
    save_generator,
    write_tensors,
)
from nasgtn.gtn.warm_start import warm_start
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import SearchSpace, hold_out

INDIFFERENCE = 0.03
"""Among states whose orders differ by less, the one that has learned longer is kept: a handful of
anchors cannot tell them apart."""
JURY_IMAGES = 512
"""Real images that held-out anchors are scored on, as many as the proxy's."""


def train_generator(  # noqa: PLR0913 - a whole stage: what it reads, how, and where it writes
    space: SearchSpace,
    splits: Splits,
    config: GtnConfig,
    *,
    seed: int,
    anchors: Sequence[Evaluation] = (),
    folder: Path | None = None,
    progress: Progress = silent,
) -> TrainedGenerator:
    """Train a generator whose synthetic batches teach the networks of `space`.

    Learns from the training part alone. How learners are trained and scored is chosen first, see
    `choose_protocol`. Where there are anchors, the generator also learns to make them score in the
    order of their merits; some of them are held out and choose, by their scores on real images
    (validation ones first), which state is kept, and when to stop. Runs on the device of `splits`.

    Args:
        space: Learners are networks of its random architectures, but for those held out.
        splits: The real data.
        config: Generator, curriculum, inner and outer loop.
        seed: Decides everything that is drawn.
        anchors: Architectures of the space whose score is their true accuracy; those of families
            that are held out, or that cannot run on the generator's images, are left out.
        folder: Existing; gets the log of meta-steps, a checkpoint while training is under way
            (training goes on from it), and the generator in the end.
        progress: Told after each meta-step.

    Raises:
        UnknownNameError, InvalidSpaceError: As `hold_out`, before any work.
        DivergedError: Too many meta-steps in a row were not finite.
        ArtefactError: The checkpoint is damaged.
    """
    start = time.perf_counter()
    task = splits.task.shrunk(config.image_size)
    options = space.options_of_proxy(config.space_options)
    space = hold_out(space.with_options(options), config.meta_training.hold_out, task)
    anchor_seconds = sum(anchor.seconds for anchor in anchors)
    anchors = [
        one
        for one in anchors
        if (space.accepts is None or space.accepts(one.choices)) and space.runs(one.choices, task)
    ]
    train = splits.train.resized(task.height, task.width)
    n_held_out = round(len(anchors) * config.meta_training.held_out_anchors)
    probe = splits.probe(JURY_IMAGES).resized(task.height, task.width)
    log = _Log(folder)
    checkpoint = log.checkpoint()
    chosen = checkpoint.get("chosen_protocol")
    protocol = (
        TrainingProtocol(INNER_LOOPS[chosen[0]], SCORES[chosen[1]])
        if chosen is not None
        else choose_protocol(
            config,
            space,
            task,
            train,
            probe,
            anchors,
            seed=derive_seed(seed, "optimiser"),
            progress=progress,
        )
    )
    meta = replace(config.meta_training, rank_score=protocol.score)
    config = replace(
        config, space_options=options, inner_loop=protocol.inner_loop, meta_training=meta
    )
    gtn = Gtn(task, config.synthesis, seed=derive_seed(seed, "gtn")).to(train.images.device)
    training = MetaTraining(
        gtn,
        space,
        train,
        meta,
        seed=derive_seed(seed, "meta-training"),
        anchors=anchors[n_held_out:],
    )
    jury = Jury(
        space=space,
        probe=probe,
        learned=anchors[n_held_out:],
        held_out=anchors[:n_held_out],
        score=meta.rank_score,
        seed=derive_seed(seed, "jury"),
        bf16=meta.bf16,
    )
    best = _Best(gtn, jury)
    spent = log.restore(checkpoint, training, best)
    if training.n_done == 0:
        rng = torch_rng(derive_seed(seed, "warm start"))
        warm_start(gtn, train, config.warm_start, rng, progress)
        best.look(0)
    running: float | None = None
    while training.n_done < meta.n_meta_steps and best.n_stale < meta.patience:
        step = training.meta_step()
        is_due = training.n_done % meta.save_every == 0 or training.n_done == meta.n_meta_steps
        log.add(replace(step, order=best.look(training.n_done)) if is_due else step)
        if step.meta_loss is not None:
            running = step.meta_loss if running is None else 0.9 * running + 0.1 * step.meta_loss
        note = "skipped" if running is None else f"meta-loss {running:.3f}{best.note}"
        progress("meta-training", training.n_done, meta.n_meta_steps, note)
        if is_due and training.n_done < meta.n_meta_steps:
            log.save(training, best, protocol, spent + time.perf_counter() - start)
    trained = TrainedGenerator(
        gtn=gtn,
        config=config,
        seed=seed,
        meta_steps=best.take() if jury.held_out else training.n_done,
        seconds=spent + time.perf_counter() - start,
        anchors=tuple(anchor.architecture_id for anchor in anchors),
        anchor_seconds=anchor_seconds,
    )
    if folder is not None:
        save_generator(trained, folder)
        (folder / META_CHECKPOINT).unlink(missing_ok=True)
    return trained


class _Best:
    """The last state that ordered the held-out anchors well; without any, nothing."""

    def __init__(self, gtn: Gtn, jury: Jury) -> None:
        self._gtn, self._jury = gtn, jury
        self._state: dict[str, Tensor] = {}
        self._highest, self._n_done = -1.0, 0
        self.n_stale = 0
        """Looks since then."""

    def look(self, n_done: int) -> float | None:
        """Judge the present state, and keep a copy of it unless an earlier one was better."""
        if not self._jury.held_out:
            return None
        order = self._jury.judge(self._gtn)
        self.n_stale += 1
        self._highest = max(order, self._highest)
        if order >= self._highest - INDIFFERENCE:
            self._n_done, self.n_stale = n_done, 0
            self._state = {n: value.clone() for n, value in self._gtn.state_dict().items()}
        return order

    @property
    def note(self) -> str:
        return f", order {self._highest:.2f}" if self._jury.held_out else ""

    def take(self) -> int:
        """Go back to the best state; return its number of meta-steps."""
        self._gtn.load_state_dict(self._state)
        return self._n_done

    def state(self) -> dict[str, Tensor]:
        kept = torch.tensor([self._highest, self._n_done, self.n_stale], dtype=torch.float64)
        return {"best": kept, **{f"best.{name}": v for name, v in self._state.items()}}

    def restore(self, state: dict[str, Tensor]) -> None:
        self._highest, n_done, n_stale = state["best"].tolist()
        self._n_done, self.n_stale = int(n_done), int(n_stale)
        prefix = "best."
        self._state = {
            name.removeprefix(prefix): value
            for name, value in state.items()
            if name.startswith(prefix)
        }


class _Log:
    """The two files of a training under way; without a folder, none."""

    def __init__(self, folder: Path | None) -> None:
        self._steps = folder / META_TRAINING if folder else None
        self._checkpoint = folder / META_CHECKPOINT if folder else None

    def add(self, step: MetaStep) -> None:
        if self._steps is not None:
            with self._steps.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(step)) + "\n")

    def save(
        self, training: MetaTraining, best: _Best, protocol: TrainingProtocol, seconds: float
    ) -> None:
        if self._checkpoint is not None:
            state = {**training.state(), **best.state()}
            state["seconds"] = torch.tensor(seconds, dtype=torch.float64)
            if protocol.inner_loop in INNER_LOOPS:
                chosen = INNER_LOOPS.index(protocol.inner_loop), SCORES.index(protocol.score)
                state["chosen_protocol"] = torch.tensor(chosen)
            write_tensors(self._checkpoint, state)

    def checkpoint(self) -> dict[str, Tensor]:
        """Read the checkpoint; empty where there is none."""
        if self._checkpoint is None or not self._checkpoint.exists():
            return {}
        return read_tensors(self._checkpoint)

    def restore(self, state: dict[str, Tensor], training: MetaTraining, best: _Best) -> float:
        """Go on from this checkpoint unless it is empty; return the seconds spent before it."""
        if state:
            training.restore(state)
            best.restore(state)
        if self._steps and self._steps.exists():  # lines after the checkpoint are written again
            lines = self._steps.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self._steps, "".join(lines[: training.n_done]))
        return state["seconds"].item() if state else 0.0
