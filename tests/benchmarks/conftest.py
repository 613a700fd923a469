"""How a benchmark says what it measured."""

import os
from collections.abc import Callable, Iterator

import pytest
import torch


@pytest.fixture
def report_line(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    def say(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")  # noqa: T201 - a benchmark's result is its output

    return say


@pytest.fixture(autouse=True)
def all_cores() -> Iterator[None]:
    """Benchmarks use the machine; other tests share it."""
    before = torch.get_num_threads()
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    yield
    torch.set_num_threads(before)


@pytest.fixture
def progress(report_line: Callable[[str], None]) -> Callable[..., None]:
    """Say now and then how far long work is."""

    def tell(stage: str, done: int, total: int, note: str = "") -> None:
        if done % max(1, total // 5) == 0:
            report_line(f"  {stage} {done}/{total} {note}")

    return tell
