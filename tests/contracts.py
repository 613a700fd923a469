"""What every search space and every evaluator must do, as one suite for all of them.

A test module parametrises over `SPACE_CONTRACT` or `EVALUATOR_CONTRACT`. For a space of your own:

    @pytest.mark.parametrize("holds", SPACE_CONTRACT)
    def test_my_space(holds: SpaceRule) -> None:
        holds(find_space("my_space.py"), task)
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import optuna
import torch
from torch import Tensor
from torch.nn import functional as F

from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.records import Evaluation, read_records, write_records
from nasgtn.spaces import Architecture, FixedTrial, SearchSpace
from nasgtn.task import Task

SEEDS = range(3)


@contextmanager
def untouched_global_generators() -> Iterator[None]:
    """Check that nobody drew from, or seeded, a global generator of random numbers.

    Python's own is left out: beartype draws from it to check a list.
    """
    before = torch.get_rng_state(), np.random.get_state()
    yield
    assert torch.equal(torch.get_rng_state(), before[0])
    assert str(np.random.get_state()) == str(before[1])


def images_of(task: Task, n: int) -> Tensor:
    return torch.randn(n, *task.input_shape, generator=torch.Generator().manual_seed(0))


# Search spaces


def returns_logits_for_the_task(space: SearchSpace, task: Task) -> None:
    for seed in SEEDS:
        space.check(task, seed=seed)


def draws_the_same_architecture_from_the_same_seed(space: SearchSpace, task: Task) -> None:
    drawn = [space.sample(seed, task) for seed in SEEDS]
    assert drawn == [space.sample(seed, task) for seed in SEEDS]
    assert len({architecture.id for architecture in drawn}) > 1


def leaves_the_global_generators_alone(space: SearchSpace, task: Task) -> None:
    with untouched_global_generators():
        space.check(task, seed=1)


def rebuilds_an_architecture_from_its_choices(space: SearchSpace, task: Task) -> None:
    for seed in SEEDS:
        architecture = space.sample(seed, task)
        stored = json.loads(json.dumps(dict(architecture.choices)))
        assert space.propose(FixedTrial(stored), task) == architecture
        assert space.architecture(stored) == architecture


def draws_the_weights_from_the_seed(space: SearchSpace, task: Task) -> None:
    choices = space.sample(0, task).choices
    first, again, other = (space.network(choices, task, seed=seed) for seed in (1, 1, 2))
    weights = first.state_dict()
    assert list(weights) == list(again.state_dict())
    assert all(torch.equal(weights[name], value) for name, value in again.state_dict().items())
    assert any(not torch.equal(weights[name], value) for name, value in other.state_dict().items())


def trains_every_network_for_a_step(space: SearchSpace, task: Task) -> None:
    images, labels = images_of(task, 4), torch.arange(4) % task.n_classes
    for seed in SEEDS:
        network = space.network(space.sample(seed, task).choices, task, seed=seed)
        assert network.training
        loss = F.cross_entropy(network(images), labels)
        loss.backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients
        assert all(bool(gradient.isfinite().all()) for gradient in gradients)


def treats_each_image_alone_in_evaluation(space: SearchSpace, task: Task) -> None:
    images = images_of(task, 3)
    for seed in SEEDS:
        network = space.network(space.sample(seed, task).choices, task, seed=seed).eval()
        with torch.no_grad():
            together, alone = (
                network(images),
                torch.cat([network(image[None]) for image in images]),
            )
        torch.testing.assert_close(together, alone, rtol=1e-3, atol=1e-4)


def lets_a_meta_gradient_through(space: SearchSpace, task: Task) -> None:
    """The gradient of an updated learner's loss reaches the synthetic images."""
    labels = torch.arange(4) % task.n_classes
    for seed in SEEDS:
        network = space.network(space.sample(seed, task).choices, task, seed=seed)
        images = images_of(task, 4).requires_grad_()
        params: dict[str, Tensor] = dict(network.named_parameters())
        loss = F.cross_entropy(torch.func.functional_call(network, params, (images,)), labels)
        grads = torch.autograd.grad(
            loss, list(params.values()), create_graph=True, allow_unused=True
        )
        updated = {
            name: value if grad is None else value - 0.1 * grad
            for (name, value), grad in zip(params.items(), grads, strict=True)
        }
        logits = torch.func.functional_call(network, updated, (images_of(task, 4),))
        (meta,) = torch.autograd.grad(F.cross_entropy(logits, labels), images, allow_unused=True)
        assert meta is None or bool(meta.isfinite().all())  # None: a network that sees no image


def describes_each_architecture_in_one_line(space: SearchSpace, task: Task) -> None:
    for seed in SEEDS:
        architecture = space.sample(seed, task)
        assert architecture.description.strip()
        assert "\n" not in architecture.description
        if space.parse is not None:
            assert space.from_description(architecture.description) == architecture


def takes_an_optuna_trial(space: SearchSpace, task: Task) -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    architecture = space.propose(trial, task)
    assert dict(architecture.choices) == trial.params


SpaceRule = Callable[[SearchSpace, Task], None]
SPACE_CONTRACT: tuple[SpaceRule, ...] = (
    returns_logits_for_the_task,
    draws_the_same_architecture_from_the_same_seed,
    leaves_the_global_generators_alone,
    rebuilds_an_architecture_from_its_choices,
    draws_the_weights_from_the_seed,
    trains_every_network_for_a_step,
    treats_each_image_alone_in_evaluation,
    lets_a_meta_gradient_through,
    describes_each_architecture_in_one_line,
    takes_an_optuna_trial,
)


# Evaluators


def _timeless(evaluation: Evaluation) -> Evaluation:
    return replace(evaluation, seconds=0.0)


def scores_the_same_for_the_same_seed(evaluator: Evaluator, architecture: Architecture) -> None:
    first = evaluate(evaluator, architecture, seed=0)
    evaluate(evaluator, architecture, seed=1)
    torch.rand(3)  # the state of the global generators must not matter either
    assert first.failure is None
    assert _timeless(evaluate(evaluator, architecture, seed=0)) == _timeless(first)


def leaves_global_generators_alone(evaluator: Evaluator, architecture: Architecture) -> None:
    with untouched_global_generators():
        evaluate(evaluator, architecture, seed=3)


def names_itself_and_the_architecture(evaluator: Evaluator, architecture: Architecture) -> None:
    record = evaluate(evaluator, architecture, seed=2)
    assert (record.evaluator, record.architecture_id) == (evaluator.name, architecture.id)
    assert (record.choices, record.seed) == (architecture.choices, 2)
    assert record.seconds > 0


def makes_a_record_that_survives_its_file(
    evaluator: Evaluator, architecture: Architecture
) -> None:
    record = evaluate(evaluator, architecture, seed=0)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "records.jsonl"
        write_records(path, [record])
        assert read_records(path) == [record]


def records_a_failure(evaluator: Evaluator, architecture: Architecture) -> None:
    impossible = Architecture(id="0" * 12, choices={}, description="of no space")
    record = evaluate(evaluator, impossible, seed=0)
    assert record.score is None
    assert record.failure


def ends_when_the_report_says_so(evaluator: Evaluator, architecture: Architecture) -> None:
    steps = []

    def stop(step: int, score: float) -> bool:
        steps.append(step)
        return False

    evaluator.score(architecture, seed=0, report=stop)
    assert len(steps) <= 1  # no rung at all where the evaluation is one step


EvaluatorRule = Callable[[Evaluator, Architecture], None]
EVALUATOR_CONTRACT: tuple[EvaluatorRule, ...] = (
    scores_the_same_for_the_same_seed,
    leaves_global_generators_alone,
    names_itself_and_the_architecture,
    makes_a_record_that_survives_its_file,
    records_a_failure,
    ends_when_the_report_says_so,
)
