"""A search over tiny networks, scored by a baseline that counts parameters.

Run as a script it searches in the folder of its first argument, until it is killed.
"""

import sys
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nasgtn.data import Part
from nasgtn.evaluation import Evaluator, Report, Scores
from nasgtn.evaluation.baselines import Parameters
from nasgtn.progress import Progress, silent
from nasgtn.records import Evaluation, read_records
from nasgtn.search import (
    FusedScore,
    Gate,
    Problem,
    SearchConfig,
    StudyPlace,
    history,
    search,
    study_place,
)
from nasgtn.spaces import Architecture, SearchSpace, Trial
from nasgtn.task import Task

TASK = Task(
    name="toy",
    n_channels=1,
    height=8,
    width=8,
    class_names=("left", "middle", "right"),
    mean=(0.5,),
    std=(0.25,),
)
TRAIN = Part(torch.zeros(4, *TASK.input_shape), torch.tensor([0, 1, 2, 0]))


def build(trial: Trial, task: Task, *, seconds: float = 0.0) -> nn.Module:
    """A convolution and a linear layer, 64 architectures; takes a while where asked."""
    width = trial.suggest_int("width", 1, 16)
    kernel = trial.suggest_categorical("kernel", (1, 3))
    has_norm = trial.suggest_categorical("norm", (True, False))
    time.sleep(seconds)
    return nn.Sequential(
        nn.Conv2d(task.n_channels, width, kernel),
        nn.BatchNorm2d(width) if has_norm else nn.Identity(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(width, task.n_classes),
    )


SPACE = SearchSpace(name="toy", build=build)


class Width:
    """Scores a network by its width, with a score on the way: half of it."""

    name = "width"

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        width = architecture.choices["width"]
        assert isinstance(width, int)
        curve: list[tuple[int, float]] = []
        for step, score in ((1, width / 2), (2, float(width))):
            curve.append((step, score))
            if report is not None and not report(step, score):
                break
        return Scores(score=curve[-1][1], curve=tuple(curve))


class Rising:
    """Scores a network by its width and a step, which is told at three rungs."""

    name = "rising"

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        width = float(str(architecture.choices["width"]))
        curve: list[tuple[int, float]] = []
        for step in (4, 8, 16):
            curve.append((step, width + step))
            if report is not None and not report(*curve[-1]):
                break
        return Scores(score=curve[-1][1], curve=tuple(curve))


@dataclass(frozen=True)
class Searched:
    """A search in a folder, and what it leaves there."""

    folder: Path
    config: SearchConfig
    space: SearchSpace = SPACE
    evaluator: Evaluator | None = None
    seed: int = 0
    rungs: tuple[int, ...] = (1, 2)
    gate: Gate | None = None
    fused: FusedScore | None = None

    @property
    def problem(self) -> Problem:
        return Problem(
            space=self.space,
            task=TASK,
            evaluator=self.evaluator or Parameters(self.space, TASK, TRAIN),
            records=self.folder / "proxy.jsonl",
            seed=self.seed,
            rungs=self.rungs,
            gate=self.gate,
            fused=self.fused,
        )

    @property
    def place(self) -> StudyPlace:
        return study_place(self.config, self.folder, file="study.db", journal="study.journal")

    @property
    def records(self) -> list[Evaluation]:
        return read_records(self.problem.records)

    @property
    def history(self) -> list[dict[str, Any]]:
        return history(self.place)

    def run(self, progress: Progress = silent) -> "Searched":
        self.folder.mkdir(exist_ok=True)
        load_problem = partial(_load_problem, self)
        search(self.problem, self.config, self.place, load_problem=load_problem, progress=progress)
        return self


def _load_problem(searched: Searched) -> Problem:
    torch.set_num_threads(1)
    return searched.problem


def slow_search(folder: Path, *, workers: int) -> Searched:
    """A search of a few seconds, to be killed."""
    space = SPACE.with_options({"seconds": 0.02})
    config = SearchConfig(trials=30, sampler="random", workers=workers)
    return Searched(folder, config, space=space)


if __name__ == "__main__":
    slow_search(Path(sys.argv[1]), workers=int(sys.argv[2])).run()
