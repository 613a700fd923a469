"""train_generator: warm start and meta-training, with a log and checkpoints to go on from."""

import json
import time
from dataclasses import asdict
from pathlib import Path

import torch

from nasgtn.artefacts import META_CHECKPOINT, META_TRAINING, write_text
from nasgtn.data import Splits
from nasgtn.gtn.meta_training import MetaStep, MetaTraining
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
from nasgtn.spaces import SearchSpace, hold_out


def train_generator(
    space: SearchSpace,
    splits: Splits,
    config: GtnConfig,
    *,
    seed: int,
    folder: Path | None = None,
    progress: Progress = silent,
) -> TrainedGenerator:
    """Train a generator whose synthetic batches teach the networks of `space`.

    Reads the training part alone. Runs on the device of `splits`.

    Args:
        space: Learners are networks of its random architectures, but for those held out.
        splits: The real data.
        config: Generator, curriculum, inner and outer loop.
        seed: Decides everything that is drawn.
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
    space = hold_out(space, config.meta_training.hold_out, task)
    train = splits.train.resized(task.height, task.width)
    device = train.images.device
    gtn = Gtn(task, config.synthesis, seed=derive_seed(seed, "gtn")).to(device)
    training = MetaTraining(
        gtn, space, train, config.meta_training, seed=derive_seed(seed, "meta-training")
    )
    log = _Log(folder)
    spent = log.restore(training)
    if training.n_done == 0:
        rng = torch_rng(derive_seed(seed, "warm start"))
        warm_start(gtn, train, config.warm_start, rng, progress)
    wanted = config.meta_training.n_meta_steps
    running: float | None = None
    while training.n_done < wanted:
        step = training.meta_step()
        log.add(step)
        if step.meta_loss is not None:
            running = step.meta_loss if running is None else 0.9 * running + 0.1 * step.meta_loss
        note = "skipped" if running is None else f"meta-loss {running:.3f}"
        progress("meta-training", training.n_done, wanted, note)
        if training.n_done % config.meta_training.save_every == 0 and training.n_done < wanted:
            log.save(training, spent + time.perf_counter() - start)
    trained = TrainedGenerator(
        gtn=gtn,
        config=config,
        seed=seed,
        meta_steps=training.n_done,
        seconds=spent + time.perf_counter() - start,
    )
    if folder is not None:
        save_generator(trained, folder)
        (folder / META_CHECKPOINT).unlink(missing_ok=True)
    return trained


class _Log:
    """The two files of a training under way; without a folder, none."""

    def __init__(self, folder: Path | None) -> None:
        self._steps = folder / META_TRAINING if folder else None
        self._checkpoint = folder / META_CHECKPOINT if folder else None

    def add(self, step: MetaStep) -> None:
        if self._steps is not None:
            with self._steps.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(step)) + "\n")

    def save(self, training: MetaTraining, seconds: float) -> None:
        if self._checkpoint is not None:
            spent = torch.tensor(seconds, dtype=torch.float64)
            write_tensors(self._checkpoint, {**training.state(), "seconds": spent})

    def restore(self, training: MetaTraining) -> float:
        """Go on from the checkpoint, if there is one; return the seconds spent before it."""
        if self._steps is None or self._checkpoint is None:
            return 0.0
        seconds = 0.0
        if self._checkpoint.exists():
            state = read_tensors(self._checkpoint)
            seconds = state.pop("seconds").item()
            training.restore(state)
        if self._steps.exists():  # lines after the checkpoint will be written again
            lines = self._steps.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self._steps, "".join(lines[: training.n_done]))
        return seconds
