"""Time and memory of the GTN, as ratios of two things measured in turn in one process.

Run with `make bench`; the figures go into README.md. Nothing here judges a machine by its speed.
"""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import mean, median

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasgtn.configuration import pick_device
from nasgtn.data import DataConfig, Part, Splits, load_splits
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig
from nasgtn.forward import forward
from nasgtn.gtn import (
    Gtn,
    Learner,
    MetaTraining,
    MetaTrainingConfig,
    SynthesisConfig,
    SyntheticData,
    gradients,
    unroll,
)
from nasgtn.randomness import torch_rng
from nasgtn.spaces import Architecture, Choices, FixedTrial, SearchSpace, Trial, find_space
from nasgtn.task import Task

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(1200)]

N_STEPS, BATCH, SEED = 16, 64, 0


def space_of_one(space: SearchSpace, choices: Choices) -> SearchSpace:
    """A space whose random architectures are all the same one."""

    def build(trial: Trial, task: Task) -> nn.Module:
        return space.build(FixedTrial(choices), task)

    return SearchSpace(name=space.name, build=build)


def in_turn(
    one: Callable[[], object], other: Callable[[], object], n: int = 7
) -> tuple[float, float]:
    """Median seconds of two functions that run A B A B ..., after one warm-up each."""
    one(), other()
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(n):
        for function, found in zip((one, other), seconds, strict=True):
            start = time.perf_counter()
            function()
            found.append(time.perf_counter() - start)
    return median(seconds[0]), median(seconds[1])


Call = Callable[[nn.Module, Tensor], Tensor]
LAYOUTS: dict[str, Call] = {
    "channels last, as ours": forward,
    "as a loop is usually written": lambda network, images: network(images),
}
"""How a floor calls a network: with images in memory as ours are, or as they come."""


def bare_loop(call: Call, learner: nn.Module, data: SyntheticData, probe: Part) -> None:
    """Forward and backward passes alone: no optimiser, nothing of ours but the layout."""
    parameters = [p for p in learner.parameters() if p.requires_grad]
    for images, labels in zip(data.images, data.labels, strict=True):
        loss = F.cross_entropy(call(learner, images), labels)
        torch.autograd.grad(loss, parameters)
    with torch.no_grad():
        F.cross_entropy(call(learner, probe.images), probe.labels).item()


def build_and_pass(
    call: Call, space: SearchSpace, splits: Splits, data: SyntheticData, architecture: Architecture
) -> None:
    """What no proxy can do without: a network, the passes of its training, one look at it."""
    network = space.network(architecture.choices, splits.task, seed=SEED).eval()
    torch.func.replace_all_batch_norm_modules_(network)
    bare_loop(call, network, data, splits.probe(512))


def train_plainly(
    call: Call, network: nn.Module, optimiser: torch.optim.Optimizer, data: SyntheticData
) -> None:
    for images, labels in zip(data.images, data.labels, strict=True):
        optimiser.zero_grad()
        F.cross_entropy(call(network, images), labels).backward()
        optimiser.step()


def synthetic(splits: Splits) -> SyntheticData:
    with torch.no_grad():
        return Gtn(splits.task, SynthesisConfig(), seed=SEED).synthesise(torch_rng(SEED))


def test_looking_at_rungs_against_looking_once(report_line: Callable[[str], None]) -> None:
    splits, space = load_splits(DataConfig(), seed=SEED), find_space("convnet")
    data, inner_loop = synthetic(splits), SynthesisConfig().inner_loop
    once, often = (
        GtnProxy(space, splits.task, data, splits.probe(config.n_images), config, inner_loop)
        for config in (ProxyConfig(), ProxyConfig(rungs=(4, 8)))
    )
    pairs = [
        in_turn(partial(often.score, one, seed=SEED), partial(once.score, one, seed=SEED))
        for one in space.sample_distinct(12, SEED, splits.task)
    ]
    ratio = sum(pair[0] for pair in pairs) / sum(pair[1] for pair in pairs)
    report_line(f"proxy with looks after 4, 8 and 16 steps / with one look: {ratio:.2f}")
    assert ratio < 2


@pytest.mark.parametrize("layout", LAYOUTS)
def test_proxy_against_bare_passes(layout: str, report_line: Callable[[str], None]) -> None:
    splits, space = load_splits(DataConfig(), seed=SEED), find_space("convnet")
    data, inner_loop = synthetic(splits), SynthesisConfig().inner_loop
    proxy = GtnProxy(
        space, splits.task, data, splits.probe(ProxyConfig().n_images), ProxyConfig(), inner_loop
    )
    ours, bare = [], []
    for architecture in space.sample_distinct(12, SEED, splits.task):
        mine, floor = in_turn(
            partial(proxy.score, architecture, seed=SEED),
            partial(build_and_pass, LAYOUTS[layout], space, splits, data, architecture),
        )
        ours.append(mine)
        bare.append(floor)
    ratios = [mine / floor for mine, floor in zip(ours, bare, strict=True)]
    report_line(
        f"proxy / bare loop ({layout}), 12 convnets on digits, {N_STEPS} steps of {BATCH}: "
        f"{sum(ours) / sum(bare):.2f} in all (median {median(ratios):.2f}, "
        f"worst {max(ratios):.2f}); {mean(ours):.3f} s a candidate"
    )


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("checkpointed", [False, True], ids=["plain", "checkpointed"])
def test_meta_step_against_plain_steps(
    checkpointed: bool, layout: str, report_line: Callable[[str], None]
) -> None:
    splits, convnet = load_splits(DataConfig(), seed=SEED), find_space("convnet")
    ours, plain = [], []
    for architecture in convnet.sample_distinct(6, SEED, splits.task):
        training = MetaTraining(
            Gtn(splits.task, SynthesisConfig(), seed=SEED),
            space_of_one(convnet, architecture.choices),
            splits.train,
            MetaTrainingConfig(checkpointed=checkpointed),
            seed=SEED,
        )
        network = convnet.network(architecture.choices, splits.task, seed=SEED)
        optimiser = torch.optim.Adam(network.parameters())
        mine, floor = in_turn(
            training.meta_step,
            partial(train_plainly, LAYOUTS[layout], network, optimiser, synthetic(splits)),
            n=5,
        )
        ours.append(mine)
        plain.append(floor)
    ratios = [mine / floor for mine, floor in zip(ours, plain, strict=True)]
    name = "checkpointed meta-step" if checkpointed else "meta-step"
    report_line(
        f"{name} / {N_STEPS} plain training steps ({layout}), 6 convnets on digits: "
        f"{sum(ours) / sum(plain):.2f} in all (median {median(ratios):.2f}, "
        f"worst {max(ratios):.2f}); {mean(ours):.3f} s"
    )


PEAK = """
import sys, torch
from nasgtn.data import DataConfig, load_splits
from nasgtn.gtn import *
from nasgtn.spaces import find_space
steps = int(sys.argv[1])
splits = load_splits(DataConfig(), seed=0)
config = SynthesisConfig(curriculum=CurriculumConfig(n_steps=steps, n_batches=0))
space = find_space("convnet")
training = MetaTraining(
    Gtn(splits.task, config, seed=0), space, splits.train,
    MetaTrainingConfig(checkpointed={checkpointed}), seed=3,
)
def peak():  # not getrusage: its peak is that of the parent, too
    lines = open("/proc/self/status").read().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
before = peak()
training.meta_step()
print(peak() - before)
"""


@pytest.mark.parametrize("checkpointed", [False, True], ids=["plain", "checkpointed"])
def test_peak_memory_of_a_meta_step(
    checkpointed: bool, report_line: Callable[[str], None]
) -> None:
    """What one meta-step adds to the peak of a fresh process, at 16 and at 64 steps."""
    code = PEAK.replace("{checkpointed}", str(checkpointed))
    found = {
        steps: int(subprocess.check_output([sys.executable, "-c", code, str(steps)])) / 1024
        for steps in (16, 64)
    }
    name = "checkpointed" if checkpointed else "plain"
    report_line(
        f"peak memory of a {name} meta-step: {found[16]:.0f} MiB at T = 16, {found[64]:.0f} MiB "
        f"at T = 64, ratio {found[64] / found[16]:.2f}"
    )


def test_help_is_instant(report_line: Callable[[str], None]) -> None:
    def run(*command: str) -> float:
        start = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return time.perf_counter() - start

    helping = median(run("-m", "nasgtn", "--help") for _ in range(9))
    empty = median(run("-c", "") for _ in range(9))
    report_line(f"nasgtn --help: {helping:.2f} s; an empty Python: {empty:.2f} s")


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # vmap, channels last
def test_seeds_at_once_against_one_after_the_other(report_line: Callable[[str], None]) -> None:
    """Whether vmap over initial weights pays on this device."""
    splits, space = load_splits(DataConfig(), seed=SEED), find_space("convnet")
    data, inner_loop = synthetic(splits), SynthesisConfig().inner_loop
    together, apart = [], []
    for architecture in space.sample_distinct(8, SEED, splits.task):
        learners = [
            Learner(space.network(architecture.choices, splits.task, seed=seed))
            for seed in range(3)
        ]

        def one_after_the_other(learners: list[Learner] = learners) -> None:
            for learner in learners:
                unroll(learner, learner.initial, data, inner_loop)

        starts = torch.stack([learner.initial for learner in learners])
        one, other = in_turn(
            partial(unroll, learners[0], starts, data, inner_loop), one_after_the_other, n=3
        )
        together.append(one)
        apart.append(other)
    report_line(
        f"3 seeds by vmap / one after the other, 8 convnets: {sum(together) / sum(apart):.2f}"
    )


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_recorded_steps_against_computed_ones(
    report_line: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole cells of NAS-Bench-201, 128 steps on 128 images, as published."""
    names, whole = tuple("0123456789"), (0.0,) * 3
    task = Task(
        name="noise", n_channels=3, height=32, width=32, class_names=names, mean=whole, std=whole
    )
    space, config = find_space("nasbench201"), SynthesisConfig().inner_loop
    device, rng = pick_device("auto"), torch_rng(SEED)
    labels = F.one_hot(torch.randint(10, (128, 128), generator=rng), 10).float()
    images = torch.randn(128, 128, 3, 32, 32, generator=rng)
    settings = torch.full((128,), 0.02), torch.full((128,), 0.7)
    data = SyntheticData(*(tensor.to(device) for tensor in (images, labels, *settings)))

    def train(learner: Learner, least: int) -> None:
        monkeypatch.setattr(gradients, "MIN_STEPS", least)
        unroll(learner, learner.initial, data, config).losses.sum().item()

    for bf16 in (False, True):
        pairs = []
        for one in space.sample_distinct(4, SEED, task):
            network = space.network(one.choices, task, seed=SEED).to(device)
            learner = Learner(network, owned=True, bf16=bf16)
            pairs.append(in_turn(partial(train, learner, 8), partial(train, learner, 129), n=3))
        recorded, computed = map(mean, zip(*pairs, strict=True))
        report_line(
            f"128 steps of whole cells{' in bfloat16' if bf16 else ''}: {recorded:.2f} s recorded,"
            f" {computed:.2f} s computed ({computed / recorded:.1f} times as long)"
        )
