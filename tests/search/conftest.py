"""A search over tiny networks, scored by a baseline that counts parameters."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from nasgtn.data import Splits
from nasgtn.evaluation import Evaluator
from nasgtn.evaluation.baselines import Parameters
from nasgtn.records import Evaluation, read_records
from nasgtn.search import Problem, SearchConfig, StudyPlace, history, search, study_place
from nasgtn.spaces import SearchSpace


@dataclass(frozen=True)
class Searched:
    """A run folder as the search leaves it."""

    folder: Path
    config: SearchConfig
    problem: Problem

    @property
    def place(self) -> StudyPlace:
        return study_place(self.config, self.folder, file="study.db", journal="study.journal")

    @property
    def records(self) -> list[Evaluation]:
        return read_records(self.problem.records)

    @property
    def history(self) -> list[dict[str, Any]]:
        return history(self.place)

    def go_on(self) -> None:
        search(self.problem, self.config, self.place)


MakeSearch = Callable[..., Searched]


@pytest.fixture
def make_search(tmp_path: Path, toy_splits: Splits, tiny_space: SearchSpace) -> MakeSearch:
    """Prepare a search in `tmp_path / name`; nothing runs yet."""

    def make(
        config: SearchConfig | None = None,
        *,
        space: SearchSpace = tiny_space,
        evaluator: Evaluator | None = None,
        name: str = "run",
        seed: int = 0,
    ) -> Searched:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        task = toy_splits.task
        problem = Problem(
            space=space,
            task=task,
            evaluator=evaluator or Parameters(space, task, toy_splits.train),
            records=folder / "proxy.jsonl",
            seed=seed,
        )
        return Searched(folder, config or SearchConfig(trials=8, sampler="random"), problem)

    return make
