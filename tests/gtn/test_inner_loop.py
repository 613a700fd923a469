"""The inner loop against finite differences, torch.optim, and a loop written out by hand."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from nasgtn.errors import InvalidConfigError
from nasgtn.gtn import InnerLoopConfig, Learner, SyntheticData, soft_cross_entropy, steps, unroll
from nasgtn.gtn.inner_loop import Graph

ADAM = InnerLoopConfig(optimiser="adam", relative=False, learning_rate=0.01, momentum=0.9)
MUON = InnerLoopConfig(optimiser="muon", learning_rate=0.02)
SGD = InnerLoopConfig(optimiser="sgd", relative=False, learning_rate=0.05, momentum=0.5)
N_STEPS, BATCH = 4, 5


def make_network(dtype: torch.dtype = torch.float32) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.Tanh(),
        nn.Flatten(),
        nn.Linear(48, 3),
    ).to(dtype)


def make_data(config: InnerLoopConfig, dtype: torch.dtype = torch.float32) -> SyntheticData:
    rng = torch.Generator().manual_seed(1)
    labels = torch.randint(3, (N_STEPS, BATCH), generator=rng)
    return SyntheticData(
        torch.randn(N_STEPS, BATCH, 1, 4, 4, generator=rng, dtype=dtype),
        F.one_hot(labels, 3).to(dtype),
        torch.linspace(1.0, 0.5, N_STEPS, dtype=dtype) * config.learning_rate,
        torch.full((N_STEPS,), config.momentum, dtype=dtype),
    )


def weighted_end(learner: Learner, data: SyntheticData, config: InnerLoopConfig) -> Tensor:
    """A scalar that depends on every parameter after the last step."""
    end = unroll(learner, learner.initial, data, config, graph="whole").parameters[N_STEPS]
    return (end * torch.linspace(-1, 1, len(end), dtype=end.dtype)).sum()


@pytest.mark.parametrize(
    "config",
    [ADAM, SGD, replace(ADAM, relative=True), MUON],
    ids=["adam", "sgd", "relative", "muon"],
)
def test_meta_gradient_matches_finite_differences(config: InnerLoopConfig) -> None:
    learner = Learner(make_network(torch.float64))
    data = make_data(config, torch.float64)
    data = SyntheticData(*(tensor.requires_grad_() for tensor in data))

    def end(*tensors: Tensor) -> Tensor:
        return weighted_end(learner, SyntheticData(*tensors), config)

    assert torch.autograd.gradcheck(end, tuple(data), rtol=1e-3, atol=1e-5, fast_mode=True)


@pytest.mark.parametrize("config", [ADAM, SGD], ids=["adam", "sgd"])
def test_meta_gradient_matches_an_independent_unrolling(config: InnerLoopConfig) -> None:
    """A second implementation: named parameters, and moments in their textbook form."""
    network = make_network(torch.float64).eval()
    torch.func.replace_all_batch_norm_modules_(network)
    data = make_data(config, torch.float64)
    images = data.images.clone().requires_grad_()
    params = {name: p.detach().requires_grad_() for name, p in network.named_parameters()}
    first = {name: torch.zeros_like(p) for name, p in params.items()}
    second = {name: torch.zeros_like(p) for name, p in params.items()}
    for t in range(N_STEPS):
        logits = torch.func.functional_call(network, params, (images[t],))
        loss = F.cross_entropy(logits, data.labels[t].argmax(dim=1))
        names = list(params)
        gradients = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        rate, after = data.learning_rates[t], {}
        for name, gradient in zip(names, gradients, strict=True):
            if config.optimiser == "sgd":
                first[name] = config.momentum * first[name] + gradient
                after[name] = params[name] - rate * first[name]
            else:
                b1, b2 = config.momentum, config.second_momentum
                first[name] = b1 * first[name] + (1 - b1) * gradient
                second[name] = b2 * second[name] + (1 - b2) * gradient**2
                m = first[name] / (1 - b1 ** (t + 1))
                v = second[name] / (1 - b2 ** (t + 1))
                after[name] = params[name] - rate * m / (v + config.epsilon).sqrt()
        params = after
    learner = Learner(make_network(torch.float64))
    flat = torch.cat([params[name].flatten() for name in learner.names])
    wanted = (flat * torch.linspace(-1, 1, len(flat), dtype=flat.dtype)).sum()
    (expected,) = torch.autograd.grad(wanted, images)

    ours = data._replace(images=data.images.clone().requires_grad_())
    value = weighted_end(learner, ours, config)
    (found,) = torch.autograd.grad(value, ours.images)
    torch.testing.assert_close(value, wanted)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("optimiser", ["adam", "sgd"])
def test_plain_training_equals_torch_optim(optimiser: str) -> None:
    config = replace(ADAM, epsilon=1e-30) if optimiser == "adam" else SGD
    network = make_network(torch.float64).eval()
    torch.func.replace_all_batch_norm_modules_(network)
    rate = config.learning_rate
    reference: torch.optim.Optimizer = (
        torch.optim.Adam(network.parameters(), rate, betas=(0.9, 0.99), eps=0.0)
        if optimiser == "adam"
        else torch.optim.SGD(network.parameters(), rate, momentum=0.5)
    )
    data = make_data(config, torch.float64)
    data = data._replace(learning_rates=torch.full((N_STEPS,), rate, dtype=torch.float64))
    losses = []
    for images, labels in zip(data.images, data.labels, strict=True):
        loss = F.cross_entropy(network(images), labels.argmax(dim=1))
        reference.zero_grad()
        loss.backward()
        reference.step()
        losses.append(loss.item())

    learner = Learner(make_network(torch.float64))
    unrolled = unroll(learner, learner.initial, data, config)
    flat = Learner(network).initial
    torch.testing.assert_close(unrolled.parameters[N_STEPS], flat, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(
        unrolled.losses, torch.tensor(losses, dtype=torch.float64), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    "config",
    [ADAM, SGD, replace(ADAM, relative=True), MUON],
    ids=["adam", "sgd", "relative", "muon"],
)
def test_checkpointed_unrolling_equals_plain_unrolling(config: InnerLoopConfig) -> None:
    learner = Learner(make_network(torch.float64))
    gradients: dict[Graph, tuple[Tensor, ...]] = {}
    graphs: tuple[Graph, Graph] = ("whole", "checkpointed")
    for graph in graphs:
        plain = make_data(config, torch.float64)
        data = SyntheticData(*(t.clone().requires_grad_() for t in plain))
        kept = unroll(learner, learner.initial, data, config, keep={2}, graph=graph).parameters
        value = kept[2].square().sum() + kept[N_STEPS].sum()
        gradients[graph] = (value.detach(), *torch.autograd.grad(value, tuple(data)))
    for one, other in zip(*gradients.values(), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("config", [ADAM, SGD, MUON], ids=["adam", "sgd", "muon"])
def test_without_a_graph_the_numbers_are_the_same_and_nothing_is_kept(
    config: InnerLoopConfig,
) -> None:
    learner = Learner(make_network())
    before, data = learner.initial.clone(), make_data(config)
    plain = unroll(learner, learner.initial, data, config)
    torch.testing.assert_close(learner.initial, before, rtol=0, atol=0)
    whole = unroll(learner, learner.initial.requires_grad_(), data, config, graph="whole")
    torch.testing.assert_close(plain.parameters[N_STEPS], whole.parameters[N_STEPS])
    assert not plain.parameters[N_STEPS].requires_grad
    assert whole.parameters[N_STEPS].requires_grad


@pytest.mark.parametrize("config", [ADAM, MUON], ids=["adam", "muon"])
def test_several_seeds_at_once_equal_one_after_the_other(config: InnerLoopConfig) -> None:
    learner = Learner(make_network())
    starts = torch.stack([learner.initial, -learner.initial])
    data = make_data(config)
    together = unroll(learner, starts, data, config)
    for index, start in enumerate(starts):
        alone = unroll(learner, start, data, config)
        torch.testing.assert_close(together.parameters[N_STEPS][index], alone.parameters[N_STEPS])
        torch.testing.assert_close(together.losses[:, index], alone.losses)


def test_steps_can_be_stopped_early() -> None:
    learner = Learner(make_network())
    data = make_data(ADAM)
    run = steps(learner, learner.initial, data, ADAM)
    next(run)
    parameters, _ = next(run)
    kept = unroll(learner, learner.initial, data, ADAM, keep={2}).parameters
    torch.testing.assert_close(parameters, kept[2])


def test_two_runs_of_one_learner_side_by_side_do_not_mix() -> None:
    learner, data = Learner(make_network()), make_data(MUON)
    starts = [learner.initial, -learner.initial]
    apart = [unroll(learner, start, data, MUON).parameters[N_STEPS] for start in starts]
    runs = zip(*(steps(learner, start, data, MUON) for start in starts), strict=True)
    *_, together = runs
    for (parameters, _), expected in zip(together, apart, strict=True):
        torch.testing.assert_close(parameters, expected)


class Forgetful(nn.Module):
    """Has a layer that it never calls."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = make_network(), nn.Linear(4, 2)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.used(images)
        return logits


def test_parameters_that_the_logits_do_not_depend_on_stay_as_they_are() -> None:
    learner, data = Learner(Forgetful()), make_data(MUON)
    end = unroll(learner, learner.initial, data, MUON).parameters[N_STEPS]
    whole = unroll(learner, learner.initial.requires_grad_(), data, MUON, graph="whole")
    torch.testing.assert_close(end, whole.parameters[N_STEPS])
    assert (end == learner.initial).sum() == 10


def test_training_leaves_the_network_alone() -> None:
    network = make_network()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    learner = Learner(network)
    unroll(learner, learner.initial, make_data(ADAM), ADAM)
    for name, value in network.state_dict().items():
        torch.testing.assert_close(value, before[name], rtol=0, atol=0)


def test_relative_rates_move_each_tensor_by_its_own_size() -> None:
    layer = nn.Linear(16, 3)
    with torch.no_grad():
        layer.weight.mul_(3)
    learner = Learner(nn.Sequential(nn.Flatten(), layer))
    config = replace(ADAM, relative=True)
    data = make_data(config)
    first = unroll(learner, learner.initial, data, config, keep={1}).parameters[1]
    moved = (first - learner.initial).detach().abs()
    for part, tensor in ((moved[:48], layer.weight), (moved[48:], layer.bias)):
        size = tensor.detach().square().mean().sqrt()
        torch.testing.assert_close(part.max(), 0.01 * size, rtol=0.01, atol=0)


def test_soft_cross_entropy_of_hard_labels_is_cross_entropy() -> None:
    logits, labels = torch.randn(7, 3), torch.arange(7) % 3
    torch.testing.assert_close(
        soft_cross_entropy(logits, F.one_hot(labels, 3).float()), F.cross_entropy(logits, labels)
    )


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("optimiser", "adamw"),
        ("momentum", 1.0),
        ("second_momentum", 0.0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("epsilon", -1.0),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: object) -> None:
    with pytest.raises(InvalidConfigError, match=setting):
        InnerLoopConfig(**{setting: value})  # type: ignore[arg-type]


def test_a_network_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="trainable parameters"):
        Learner(nn.Flatten())
