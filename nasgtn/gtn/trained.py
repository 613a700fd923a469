"""A trained generator: its weights as safetensors, its configuration as TOML; no pickle."""

import tomllib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import tomli_w
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from nasgtn.artefacts import FORMAT, GENERATOR_CONFIG, GENERATOR_WEIGHTS, write_bytes, write_text
from nasgtn.errors import ArtefactError, InvalidConfigError, NasgtnError
from nasgtn.facts import without_none
from nasgtn.gtn.curriculum import CurriculumConfig
from nasgtn.gtn.generator import GeneratorConfig
from nasgtn.gtn.inner_loop import SyntheticData
from nasgtn.gtn.meta_training import MetaTrainingConfig
from nasgtn.gtn.optimisers import InnerLoopConfig
from nasgtn.gtn.synthesis import Gtn, SynthesisConfig
from nasgtn.gtn.warm_start import WarmStartConfig
from nasgtn.randomness import derive_seed, torch_rng
from nasgtn.spaces import Choice, SearchSpace
from nasgtn.task import Task
from nasgtn.validation import validated

SAME_IMAGES = 1e-5
"""Relative difference of two means over the same images, added up in another order, at most."""


@dataclass(frozen=True, kw_only=True)
class GtnConfig:
    """A Generative Teaching Network, and how it is trained."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    image_size: int = 16
    """Longer side, in pixels, of the images that generator and proxy work on: larger real ones are
    shrunk to it, and candidates are built for it. 0: as they are. Verification never shrinks."""
    space_options: dict[str, Choice] | None = None
    """Keyword arguments of the space's `build` that generator and proxy work with, beside and
    before those of `space.options`: `{n_cells = 2}` makes small look-alikes of deep networks.
    Anchors, verification and scores without training keep the real ones. None: what the space's
    file proposes (`proxy_options`), but for what `space.options` sets."""
    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    curriculum: CurriculumConfig = field(default_factory=CurriculumConfig)
    inner_loop: InnerLoopConfig = field(default_factory=InnerLoopConfig)
    choose_optimiser: bool = True
    """Let the anchors (eight or more) choose how learners are trained and scored: by what orders
    them best after as many steps on real images. Muon or Adam and the score after learning, or
    Adam or slow Muon and the training loss in the end (see `nasgtn.gtn.protocol`). Only where
    `inner_loop` is as by default; a `rank_score` that is not is kept. A trained generator's
    `inner_loop` and `rank_score` say what was chosen."""
    warm_start: WarmStartConfig = field(default_factory=WarmStartConfig)
    meta_training: MetaTrainingConfig = field(default_factory=MetaTrainingConfig)

    def __post_init__(self) -> None:
        if self.image_size < 0:
            raise InvalidConfigError(f"gtn.image_size must be at least 0, got {self.image_size}")

    @property
    def lets_choose(self) -> bool:
        """Whether anchors may choose how learners are trained and scored."""
        return self.choose_optimiser and self.inner_loop == InnerLoopConfig()

    @property
    def synthesis(self) -> SynthesisConfig:
        return SynthesisConfig(
            generator=self.generator, curriculum=self.curriculum, inner_loop=self.inner_loop
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class TrainedGenerator:
    """What meta-training leaves: enough to make the synthetic batches again, and to say how."""

    gtn: Gtn
    config: GtnConfig
    seed: int
    meta_steps: int
    seconds: float
    """Warm start and meta-training together, in wall-clock time."""
    anchors: tuple[str, ...] = ()
    """Ids of the architectures whose accuracies it learned from: they judge it no more."""
    anchor_seconds: float = 0.0
    """What the trainings of the anchors took."""

    @property
    def task(self) -> Task:
        return self.gtn.task

    def look_alikes(self, space: SearchSpace) -> SearchSpace:
        """Make the space as the generator knows it: with the options that it was trained with."""
        return space.with_options(self.config.space_options or {})

    @property
    def n_batches(self) -> int:
        """How many of the synthetic batches differ: those of the first steps."""
        return len(self.gtn.curriculum.rows)

    @torch.no_grad()
    def synthesise(self) -> SyntheticData:
        """Make the synthetic batches; the same ones each time. Carries no graph."""
        return self.gtn.synthesise(torch_rng(derive_seed(self.seed, "synthesis")))


def save_generator(trained: TrainedGenerator, folder: Path) -> None:
    """Write the generator's two files into an existing folder; each whole, or not at all."""
    write_tensors(folder / GENERATOR_WEIGHTS, trained.gtn.state_dict())
    facts = {
        "format": FORMAT,
        "seed": trained.seed,
        "meta_steps": trained.meta_steps,
        "seconds": trained.seconds,
        "anchors": trained.anchors,
        "anchor_seconds": trained.anchor_seconds,
        "gtn": without_none(asdict(trained.config)),
        # Last, since it has no defaults: so a file that was cut off is noticed.
        "task": asdict(trained.task),
    }
    write_text(folder / GENERATOR_CONFIG, tomli_w.dumps(facts))


def load_generator(
    folder: Path, *, task: Task | None = None, device: torch.device | str = "cpu"
) -> TrainedGenerator:
    """Read a trained generator.

    Args:
        folder: A run, or any folder with the generator's two files.
        task: Where given, the generator has to fit it, its images shrunk as the generator's
            configuration says: shape of the images, number of classes.
        device: Where its tensors shall be.

    Raises:
        ArtefactError: A file is missing, damaged or of another version, or the generator was
            made for another task, or learned from another split of the same dataset.
    """
    path = folder / GENERATOR_CONFIG
    if not path.is_file():
        raise ArtefactError(f"{folder} must hold a trained generator, but {path.name} is missing")
    try:
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
        found = facts["format"]
        if found != FORMAT:
            raise ArtefactError(f"{path} must be of format {FORMAT}, but is of format {found}")
        # One that knows nothing of options had none, whatever its space proposes today.
        config = validated(GtnConfig, {"space_options": {}, **facts["gtn"]})
        trained = TrainedGenerator(
            gtn=Gtn(validated(Task, facts["task"]), config.synthesis, seed=facts["seed"]),
            config=config,
            seed=facts["seed"],
            meta_steps=facts["meta_steps"],
            seconds=facts["seconds"],
            anchors=tuple(facts["anchors"]),
            anchor_seconds=facts["anchor_seconds"],
        )
        trained.gtn.load_state_dict(read_tensors(folder / GENERATOR_WEIGHTS))
    except ArtefactError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, NasgtnError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtefactError(f"the generator in {folder} cannot be read: {reason}") from error
    if task is not None:
        _check_fit(trained, task.shrunk(config.image_size), folder)
    trained.gtn.to(device)
    return trained


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        ArtefactError: It is missing or damaged.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ArtefactError(f"{path} must be a safetensors file, but: {error}") from error


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> None:
    """Write a safetensors file whole, or leave the old one."""
    state = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    write_bytes(path, save(state))  # `save_file` has errors of its own for a full disk


def _check_fit(trained: TrainedGenerator, task: Task, folder: Path) -> None:
    made_for = trained.task
    for what, one, other in (
        ("images of shape", made_for.input_shape, task.input_shape),
        ("classes:", made_for.n_classes, task.n_classes),
    ):
        if one != other:
            raise ArtefactError(
                f"the generator in {folder} was made for {what} {one}, but {task.name} has {other}"
            )
    # Mean and deviation are those of the training part, so they tell one split from another.
    here, there = ((*found.mean, *found.std) for found in (made_for, task))
    if made_for.name == task.name and not np.allclose(here, there, rtol=SAME_IMAGES, atol=0):
        raise ArtefactError(
            f"the generator in {folder} must have learned from the images that {task.name} is "
            f"trained on here, but it has another split of them (its seed is {trained.seed}); it "
            "may have seen what is tested on"
        )
