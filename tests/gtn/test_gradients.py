"""Losses and gradients step by step: on a GPU what is played back is what is computed."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasgtn.gtn import (
    ADAM,
    MUON,
    InnerLoopConfig,
    Learner,
    SyntheticData,
    Unrolled,
    gradients,
    unroll,
)
from nasgtn.gtn.gradients import MIN_STEPS, Gradients

N_STEPS, BATCH = MIN_STEPS + 4, 6
SGD = InnerLoopConfig(optimiser="sgd", relative=False, learning_rate=0.05, momentum=0.5)

gpu = pytest.mark.gpu
needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


class Looking(nn.Module):
    """Looks at its values on the way, which no recording can."""

    def forward(self, values: Tensor) -> Tensor:
        return values if values.sum().item() > 0 else 0.5 * values


def network_of(*more: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        *more,
        nn.Conv2d(6, 8, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(8 * 16, 3),
    )


def data_of(device: str) -> SyntheticData:
    rng = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (N_STEPS, BATCH), generator=rng)
    data = (
        torch.randn(N_STEPS, BATCH, 1, 4, 4, generator=rng),
        F.one_hot(labels, 3).float(),
        torch.linspace(0.04, 0.01, N_STEPS),
        torch.full((N_STEPS,), 0.7),
    )
    return SyntheticData(*(tensor.to(device) for tensor in data))


def taught(network: nn.Module, config: InnerLoopConfig, device: str, *, bf16: bool) -> Unrolled:
    learner = Learner(network.to(device), bf16=bf16)
    return unroll(learner, learner.initial, data_of(device), config, keep=(3,))


def test_gradients_are_those_of_autograd_in_the_order_of_the_parameters() -> None:
    network, data = network_of(), data_of("cpu")
    learner = Learner(network)
    parameters = learner.initial.clone()
    loss, found = Gradients(learner, parameters, n_steps=N_STEPS).of(
        data.images[0], data.labels[0]
    )
    vector = parameters.clone().requires_grad_()
    expected = F.cross_entropy(learner.logits(vector, data.images[0]), data.labels[0])
    (by_hand,) = torch.autograd.grad(expected, vector)
    assert loss == pytest.approx(expected.item())
    torch.testing.assert_close(torch.cat([one.flatten() for one in found]), by_hand)


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Every recording that is made, and none has failed before."""
    made: list[object] = []

    class Listed(gradients._Recorded):
        def __init__(self, computing: Gradients, images: Tensor, labels: Tensor) -> None:
            super().__init__(computing, images, labels)
            made.append(self)

    monkeypatch.setattr(gradients, "_Recorded", Listed)
    monkeypatch.setattr(Gradients, "can_record", True)
    return made


@gpu
@needs_cuda
@pytest.mark.parametrize("bf16", [False, True], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("config", [MUON, ADAM, SGD], ids=lambda one: one.optimiser)
def test_what_is_played_back_is_what_is_computed(
    config: InnerLoopConfig,
    *,
    bf16: bool,
    recordings: list[object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    played = taught(network_of(), config, "cuda", bf16=bf16)
    assert len(recordings) == 1
    monkeypatch.setattr(gradients, "MIN_STEPS", N_STEPS + 1)
    computed = taught(network_of(), config, "cuda", bf16=bf16)
    assert len(recordings) == 1
    relative, absolute = (0.02, 0.02) if bf16 else (1e-3, 1e-4)
    torch.testing.assert_close(played.losses, computed.losses, rtol=relative, atol=absolute)
    for step in (3, N_STEPS):
        pair = played.parameters[step], computed.parameters[step]
        torch.testing.assert_close(*pair, rtol=relative, atol=absolute)
    assert len(played.losses.unique()) == N_STEPS


@gpu
@needs_cuda
def test_a_step_is_recorded_only_where_that_pays(recordings: list[object]) -> None:
    data = data_of("cuda")
    learner = Learner(network_of().cuda())
    for n_steps, n_recorded in ((MIN_STEPS - 1, 0), (MIN_STEPS, 1)):
        found = Gradients(learner, learner.initial.clone(), n_steps=n_steps)
        for images, labels in zip(data.images, data.labels, strict=True):
            found.of(images, labels)
        assert len(recordings) == n_recorded


@gpu
@needs_cuda
def test_segments_of_a_checkpointed_unrolling_are_computed(recordings: list[object]) -> None:
    learner = Learner(network_of().cuda())
    data = SyntheticData(*(torch.cat([rows] * 12) for rows in data_of("cuda")))
    assert int(len(data.images) ** 0.5) >= MIN_STEPS
    unroll(learner, learner.initial, data, ADAM, graph="checkpointed")
    assert not recordings


@gpu
@needs_cuda
def test_after_a_network_that_cannot_be_recorded_everything_is_computed(
    recordings: list[object],
) -> None:
    before = torch.cuda.current_stream()
    on_gpu = taught(network_of(Looking()), ADAM, "cuda", bf16=False)
    assert torch.cuda.current_stream() == before
    assert not Gradients.can_record
    on_cpu = taught(network_of(Looking()), ADAM, "cpu", bf16=False)
    torch.testing.assert_close(on_gpu.losses.cpu(), on_cpu.losses, rtol=1e-3, atol=1e-4)
    again, as_well = (taught(network_of(), ADAM, one, bf16=False) for one in ("cuda", "cpu"))
    torch.testing.assert_close(again.losses.cpu(), as_well.losses, rtol=1e-3, atol=1e-4)
    assert not recordings
