"""A trained network and synthetic data to hand on, and scripts that run where nasgtn is not."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from nasgtn.data import Splits
from nasgtn.export import TrainedNetwork
from nasgtn.gtn import SyntheticData
from nasgtn.spaces.catalogue import find_space
from nasgtn.task import Task

SPACE = '''"""One hidden layer."""

from torch import nn


def build(trial, task, hidden=4):
    width = trial.suggest_int("width", hidden, 4 * hidden)
    return nn.Sequential(
        nn.Conv2d(task.n_channels, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, task.n_classes),
    )
'''
HIDDEN = ("nasgtn", "safetensors", "jaxtyping", "onnx", "pandas", "pydantic", "optuna", "sklearn")

RunAlone = Callable[..., str]


@pytest.fixture
def trained(tmp_path: Path, toy_splits: Splits) -> TrainedNetwork:
    path = tmp_path / "my space.py"
    path.write_text(SPACE, encoding="utf-8")
    space, task = find_space(str(path), {"hidden": 5}), toy_splits.task
    architecture = space.sample(3, task)
    network = space.network(architecture.choices, task, seed=1)
    with torch.no_grad():
        network(toy_splits.train.images)  # running statistics that are not those of a new network
    return TrainedNetwork(
        network=network,
        architecture=architecture,
        task=task,
        space=str(path),
        space_options={"hidden": 5},
        facts={"test_accuracy": 0.75, "n_test": 48},
    )


@pytest.fixture
def synthetic(toy_task: Task) -> SyntheticData:
    rng = torch.Generator().manual_seed(0)
    return SyntheticData(
        images=torch.randn(4, 6, *toy_task.input_shape, generator=rng),
        labels=torch.eye(3).repeat(2, 1).expand(4, 6, 3),
        learning_rates=torch.linspace(0.1, 0.2, 4),
        momenta=torch.full((4,), 0.9),
    )


@pytest.fixture
def run_alone(tmp_path_factory: pytest.TempPathFactory) -> RunAlone:
    """Run a script as a reader would, in an empty folder, without nasgtn.

    torch and nasgtn are installed side by side, so hiding the place of one hides the other. But a
    folder of PYTHONPATH comes before every place where packages are installed: there a module
    named `nasgtn` lies that refuses to be imported, and one for each package that the scripts
    must do without.
    """
    hiding = tmp_path_factory.mktemp("hiding")
    empty = tmp_path_factory.mktemp("empty")

    def run(script: Path, *args: object, without: tuple[str, ...] = ()) -> str:
        for name in (*HIDDEN, *without):
            (hiding / f"{name}.py").write_text(f"raise ModuleNotFoundError('{name} is hidden')\n")
        done = subprocess.run(
            [sys.executable, "-W", "error", script, *map(str, args)],
            capture_output=True,
            text=True,
            check=False,
            cwd=empty,
            env={**os.environ, "PYTHONPATH": str(hiding), "OMP_NUM_THREADS": "1"},
        )
        assert done.returncode == 0, done.stderr
        assert done.stderr == ""
        return done.stdout

    return run
