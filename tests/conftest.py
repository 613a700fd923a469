"""Fixtures that several test folders share: toy data, a tiny search space, the real data."""

import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from torch import nn

from nasgtn.data import Part, Splits
from nasgtn.spaces import SearchSpace, Trial
from nasgtn.task import Task

torch.set_num_threads(1)
# A job in the background ignores Ctrl-C, and so would whatever the tests start and interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)

CHROMIUM, DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and NAS benchmark tables; they are not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real datasets are not beside the project (../shared/data)")
    return SHARED_DATA


@pytest.fixture(scope="session")
def toy_task() -> Task:
    return Task(
        name="toy",
        n_channels=1,
        height=8,
        width=8,
        class_names=("left", "middle", "right"),
        mean=(0.5,),
        std=(0.25,),
    )


def toy_part(task: Task, n: int, seed: int) -> Part:
    """Noise with one bright bar: left, in the middle, or right. Learnable in a few steps."""
    rng = torch.Generator().manual_seed(seed)
    labels = torch.arange(n) % task.n_classes
    images = 0.5 * torch.randn(n, *task.input_shape, generator=rng)
    for label, column in enumerate((1, 3, 6)):
        images[labels == label, :, :, column] += 1.5
    return Part(images, labels)


@pytest.fixture(scope="session")
def toy_splits(toy_task: Task) -> Splits:
    return Splits(
        task=toy_task,
        train=toy_part(toy_task, 96, seed=0),
        validation=toy_part(toy_task, 48, seed=1),
        test=toy_part(toy_task, 48, seed=2),
    )


def build_tiny(trial: Trial, task: Task) -> nn.Module:
    """A linear network, or one with a hidden layer; its output may be normalised."""
    width = trial.suggest_int("width", 4, 16, step=4)
    layers: list[nn.Module] = [nn.Conv2d(task.n_channels, width, 3, padding=1)]
    if trial.suggest_categorical("norm", ("none", "batch")) == "batch":
        layers.append(nn.BatchNorm2d(width))
    activation = trial.suggest_categorical("activation", ("relu", "tanh"))
    layers.append(nn.ReLU() if activation == "relu" else nn.Tanh())
    pool = trial.suggest_categorical("pool", (1, 4))
    layers += [
        nn.AdaptiveAvgPool2d(pool),
        nn.Flatten(),
        nn.Linear(width * pool**2, task.n_classes),
    ]
    return nn.Sequential(*layers)


@pytest.fixture(scope="session")
def tiny_space() -> SearchSpace:
    return SearchSpace(name="tiny", build=build_tiny, summary="Small networks for tests.")


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """Headless Chromium; it logs its console and its requests."""
    if not Path(CHROMIUM).exists() or not Path(DRIVER).exists():
        pytest.skip(f"Chromium and its driver are not there ({CHROMIUM}, {DRIVER})")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which(DRIVER)))
    yield driver
    driver.quit()
