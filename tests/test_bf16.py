"""Passes in bfloat16: the same numbers but for rounding, at each stage that has the setting."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasgtn.cli.settings import settings_of
from nasgtn.configuration import RunConfig
from nasgtn.data import DataConfig, Splits, load_splits
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig
from nasgtn.forward import forward
from nasgtn.gtn import (
    CurriculumConfig,
    Gtn,
    Learner,
    MetaTraining,
    MetaTrainingConfig,
    SyntheticData,
    teach,
    unroll,
)
from nasgtn.gtn.inner_loop import Graph
from nasgtn.gtn.selection import Jury
from nasgtn.gtn.synthesis import SynthesisConfig
from nasgtn.randomness import torch_rng
from nasgtn.records import Evaluation
from nasgtn.spaces import Architecture, SearchSpace, Trial
from nasgtn.task import Task
from nasgtn.training import TrainingConfig, measure, train

N_STEPS, BATCH = 4, 12
ROUNDING = 2**-8
"""Of bfloat16, relative."""

each_device = pytest.mark.parametrize(
    "device",
    [
        "cpu",
        pytest.param(
            "cuda",
            marks=[
                pytest.mark.gpu,
                pytest.mark.skipif(
                    not torch.cuda.is_available(), reason="there is no CUDA device"
                ),
            ],
        ),
    ],
)


@pytest.fixture(scope="module")
def architecture(tiny_space: SearchSpace) -> Architecture:
    return tiny_space.architecture({"width": 8, "norm": "batch", "activation": "relu", "pool": 4})


@pytest.fixture
def gtn(toy_splits: Splits) -> Gtn:
    curriculum = CurriculumConfig(n_steps=N_STEPS, n_batches=0, batch_size=BATCH)
    return Gtn(toy_splits.task, SynthesisConfig(curriculum=curriculum), seed=0)


def data_of(gtn: Gtn, device: str) -> SyntheticData:
    with torch.no_grad():
        return gtn.to(device).synthesise(torch_rng(0))


def learner_of(
    space: SearchSpace, splits: Splits, one: Architecture, device: str, *, bf16: bool
) -> Learner:
    network = space.network(one.choices, splits.task, seed=0).to(device)
    return Learner(network, owned=True, bf16=bf16)


def alike(one: Tensor, other: Tensor) -> float:
    """Cosine of the angle between two tensors."""
    return F.cosine_similarity(one.flatten(), other.flatten(), dim=0).item()


@each_device
def test_only_what_is_between_weights_and_logits_is_rounded(
    device: str, toy_splits: Splits
) -> None:
    seen: list[torch.dtype] = []
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))
    network[1].register_forward_hook(lambda _, __, out: seen.append(out.dtype))
    network, images = network.to(device), toy_splits.train.images.to(device)
    exact, rounded = (forward(network, images, bf16=bf16) for bf16 in (False, True))
    assert seen == [torch.float32, torch.bfloat16]
    assert exact.dtype == rounded.dtype == torch.float32
    error = (rounded - exact).abs().max() / exact.abs().max()
    assert 0 < error < 4 * ROUNDING
    rounded.sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())


@each_device
@pytest.mark.parametrize("graph", ["none", "whole", "checkpointed"])
def test_a_learner_goes_nearly_the_same_way(
    device: str,
    graph: Graph,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    architecture: Architecture,
    gtn: Gtn,
) -> None:
    data, ways = data_of(gtn, device), []
    for bf16 in (False, True):
        learner = learner_of(tiny_space, toy_splits, architecture, device, bf16=bf16)
        end = unroll(learner, learner.initial, data, gtn.config.inner_loop, graph=graph)
        ways.append(end.parameters[N_STEPS].detach() - learner.initial)
        assert end.losses.dtype == torch.float32
    assert 0.95 < alike(*ways) < 1
    assert not torch.equal(*ways)


@each_device
@pytest.mark.parametrize("checkpointed", [False, True])
def test_the_meta_gradient_points_nearly_the_same_way(
    device: str,
    checkpointed: bool,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    architecture: Architecture,
    gtn: Gtn,
) -> None:
    config = MetaTrainingConfig(n_images=48, checkpointed=checkpointed)
    train_part, gradients = toy_splits.train.to(device), []
    for bf16 in (False, True):
        learner = learner_of(tiny_space, toy_splits, architecture, device, bf16=bf16)
        gtn.to(device).zero_grad()
        teach(gtn, learner, train_part, config, torch_rng(0)).cross_entropy.backward()
        found = [p.grad.flatten() for p in gtn.parameters() if p.grad is not None]
        gradients.append(torch.cat(found))
    assert alike(*gradients) > 0.9
    assert not torch.equal(*gradients)


@each_device
@pytest.mark.parametrize("n_seeds", [1, 2])
def test_the_proxy_obeys_its_setting(
    device: str,
    n_seeds: int,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    architecture: Architecture,
    gtn: Gtn,
) -> None:
    scores = []
    for bf16 in (False, True):
        proxy = GtnProxy(
            tiny_space,
            toy_splits.task,
            data_of(gtn, device),
            toy_splits.validation.to(device),
            ProxyConfig(bf16=bf16, n_seeds=n_seeds),
            gtn.config.inner_loop,
        )
        scores.append(proxy.score(architecture, seed=0).metrics["late_training_loss"])
    assert scores[0] == pytest.approx(scores[1], rel=0.05)
    assert scores[0] != scores[1]


@each_device
def test_meta_training_and_its_jury_obey_their_setting(
    device: str, tiny_space: SearchSpace, toy_splits: Splits, architecture: Architecture, gtn: Gtn
) -> None:
    seen: list[torch.dtype] = []
    watched = replace(
        tiny_space, build=lambda trial, task: _Watched(tiny_space, trial, task, seen)
    )
    config = MetaTrainingConfig(n_images=48, bf16=True)
    splits = toy_splits.to(device)
    MetaTraining(gtn.to(device), watched, splits.train, config, seed=0).meta_step()
    assert seen
    assert {*seen} == {torch.bfloat16}
    seen.clear()
    anchors = [
        Evaluation(
            evaluator="training",
            architecture_id=str(merit),
            choices=architecture.choices,
            seed=0,
            score=merit,
            seconds=0.0,
        )
        for merit in (0.1, 0.2)
    ]
    jury = Jury(
        space=watched,
        probe=splits.validation,
        learned=(),
        held_out=anchors,
        score="soft_accuracy",
        seed=0,
        bf16=True,
    )
    jury.judge(gtn)
    assert {*seen} == {torch.bfloat16}


class _Watched(nn.Module):
    """A network that tells the type of its own logits."""

    def __init__(
        self, space: SearchSpace, trial: Trial, task: Task, seen: list[torch.dtype]
    ) -> None:
        super().__init__()
        self.network = space.build(trial, task)
        self.seen = seen

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images)
        if len(images) >= BATCH:  # not where the space tries whether it runs
            self.seen.append(logits.dtype)
        return logits


@each_device
def test_a_training_learns_as_well_and_is_measured_exactly(
    device: str, toy_splits: Splits
) -> None:
    splits = toy_splits.to(device)
    config = TrainingConfig(epochs=6, batch_size=32, learning_rate=0.02, bf16=True)
    network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 3))
    seen: set[tuple[bool, torch.dtype]] = set()
    network.register_forward_hook(lambda own, _, out: seen.add((own.training, out.dtype)))
    trained = train(network, splits, config, seed=0)
    assert seen == {(True, torch.bfloat16), (False, torch.float32)}
    assert all(value.dtype == torch.float32 for value in trained.network.state_dict().values())
    found = measure(trained.network, splits.validation)
    assert (found.accuracy, found.loss) == (trained.validation_accuracy, trained.validation_loss)
    assert found.accuracy > 0.9


def test_kept_comparisons_are_told_apart_by_it_and_older_ones_found() -> None:
    usual = RunConfig(data=DataConfig(name="digits"))
    splits = load_splits(usual.data, seed=0)
    kept = settings_of(usual, None, splits)
    assert "bf16" not in str(kept)
    meta_training = replace(usual.gtn.meta_training, bf16=True)
    for other in (
        replace(usual, proxy=replace(usual.proxy, bf16=True)),
        replace(usual, training=replace(usual.training, bf16=True)),
        replace(usual, gtn=replace(usual.gtn, meta_training=meta_training)),
    ):
        assert settings_of(other, None, splits) != kept
