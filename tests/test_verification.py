import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from nasgtn.data import Splits
from nasgtn.errors import InvalidConfigError, UnknownNameError
from nasgtn.evaluation import evaluate
from nasgtn.evaluation.baselines import Parameters
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.records import Evaluation, read_records, write_records
from nasgtn.spaces import Architecture, SearchSpace, Trial
from nasgtn.task import Task
from nasgtn.training import TrainingConfig
from nasgtn.verification import (
    Chosen,
    VerificationConfig,
    best_verified,
    evaluate_baselines,
    find_winner,
    verify_chosen,
)

TRAINING = TrainingConfig(epochs=2, batch_size=48, learning_rate=0.02)
SEEDS = (11,)


def chosen_of(
    space: SearchSpace, splits: Splits, n_candidates: int = 2, n_control: int = 2
) -> Chosen:
    """Architectures at random, with the parameter count for a proxy score."""
    counting = Parameters(space, splits.task, splits.train)
    found = [
        replace(evaluate(counting, one, seed=0), metrics={"n_parameters": 7.0, "other": 1.0})
        for one in space.sample_distinct(n_candidates + n_control, 0, splits.task)
    ]
    return Chosen(candidates=found[:n_candidates], control=found[n_candidates:])


@pytest.fixture
def truth(tiny_space: SearchSpace, toy_splits: Splits) -> TrainedTruth:
    return TrainedTruth(tiny_space, toy_splits, TRAINING, device=torch.device("cpu"))


def accuracy_of(folder: Path, space: SearchSpace, splits: Splits, part: str) -> float:
    """Build the winner from its files alone, and classify a part."""
    choices = json.loads((folder / "best" / "choices.json").read_text())["choices"]
    network = space.network(choices, splits.task, seed=99).eval()
    network.load_state_dict(load_file(folder / "best" / "weights.safetensors"))
    images, labels = getattr(splits, part).images, getattr(splits, part).labels
    with torch.no_grad():
        return float((network(images).argmax(1) == labels).float().mean())


def test_each_training_leaves_a_record_and_the_winner_its_weights(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    chosen = chosen_of(tiny_space, toy_splits)
    records = verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    assert records == read_records(tmp_path / "verification.jsonl")
    assert [r.architecture_id for r in records] == [r.architecture_id for r in chosen.all]
    assert [r.metrics["is_control"] for r in records] == [0, 0, 1, 1]
    assert {r.metrics["n_parameters"] for r in records} == {7.0}
    assert "other" not in records[0].metrics
    winner = find_winner(records, {})
    assert winner is not None
    facts = json.loads((tmp_path / "best" / "choices.json").read_text())
    assert facts["architecture_id"] == winner.architecture_id
    for part, found in (
        ("test", winner.score),
        ("test", facts["test_accuracy"]),
        ("validation", winner.metrics["validation_accuracy"]),
    ):
        assert accuracy_of(tmp_path, tiny_space, toy_splits, part) == pytest.approx(found)
    names = sorted(path.name for path in (tmp_path / "best").iterdir())
    assert names == ["choices.json", "confusion.json", "latency.json", "weights.safetensors"]
    latency = json.loads((tmp_path / "best" / "latency.json").read_text())["milliseconds"]
    assert 0 < latency < 1000


def test_the_winner_has_its_confusion_on_the_test_images(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    chosen = chosen_of(tiny_space, toy_splits)
    verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    path = tmp_path / "best" / "confusion.json"
    counts = json.loads(path.read_text())
    n = sum(count for _, _, count in counts)
    assert n == len(toy_splits.test)
    right = sum(count for label, predicted, count in counts if label == predicted)
    accuracy = accuracy_of(tmp_path, tiny_space, toy_splits, "test")
    assert right / n == pytest.approx(accuracy)
    path.unlink()  # as a run of an earlier version
    verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    assert json.loads(path.read_text()) == counts


def test_nothing_of_an_earlier_winner_stays(
    truth: TrainedTruth,
    tiny_space: SearchSpace,
    toy_splits: Splits,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not even where the process is killed while the new one is measured."""
    chosen = chosen_of(tiny_space, toy_splits)
    verify_chosen(truth, tiny_space, Chosen(candidates=[], control=[]), tmp_path, SEEDS)
    best = tmp_path / "best"
    for name in ("confusion.json", "latency.json"):
        (best / name).write_text("of another")
    with monkeypatch.context() as patch:
        patch.setattr(TrainedTruth, "confusion", interrupt)
        with pytest.raises(KeyboardInterrupt):
            verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    for name in ("confusion.json", "latency.json"):
        assert (best / name).read_text() != "of another"


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_is_recorded_is_not_trained_again(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    chosen = chosen_of(tiny_space, toy_splits)
    path = tmp_path / "verification.jsonl"
    before = verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    files = {file: file.stat().st_mtime_ns for file in (tmp_path / "best").iterdir()}
    write_records(path, [replace(one, seconds=-1.0) for one in before])
    after = verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    assert {one.seconds for one in after} == {-1.0}
    assert {file: file.stat().st_mtime_ns for file in (tmp_path / "best").iterdir()} == files


def test_a_verification_that_stopped_goes_on_to_the_same_end(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    class StoppedError(Exception):
        pass

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if done == 2:
            raise StoppedError

    chosen = chosen_of(tiny_space, toy_splits)
    (tmp_path / "whole").mkdir()
    whole = verify_chosen(truth, tiny_space, chosen, tmp_path / "whole", SEEDS)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    with pytest.raises(StoppedError):
        verify_chosen(truth, tiny_space, chosen, stopped, SEEDS, progress=stop)
    first = read_records(stopped / "verification.jsonl")
    assert len(first) == 2
    resumed = verify_chosen(truth, tiny_space, chosen, stopped, SEEDS)
    assert resumed[:2] == first
    assert [replace(r, seconds=0) for r in resumed] == [replace(r, seconds=0) for r in whole]
    for name in ("choices.json", "confusion.json", "weights.safetensors"):
        one, other = (folder / "best" / name for folder in (stopped, tmp_path / "whole"))
        assert one.read_bytes() == other.read_bytes()


def test_more_candidates_train_only_what_is_new(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    chosen = chosen_of(tiny_space, toy_splits)
    first = verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    more = Chosen(candidates=chosen.all[:3], control=chosen.all[3:])  # one control moves up
    second = verify_chosen(truth, tiny_space, more, tmp_path, SEEDS)
    assert [r.seconds for r in second] == [r.seconds for r in first]
    assert [r.metrics["is_control"] for r in second] == [0, 0, 0, 1]
    assert (tmp_path / "best" / "weights.safetensors").exists()


def test_lost_weights_of_the_winner_are_trained_again(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    chosen = chosen_of(tiny_space, toy_splits, 1, 0)
    verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    weights = tmp_path / "best" / "weights.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    assert weights.read_bytes() == before


def record(
    name: str, seed: int, validation: float, score: float | None = 0.5, is_control: bool = False
) -> Evaluation:
    metrics = {"is_control": float(is_control)}
    return Evaluation(
        evaluator="ground_truth",
        architecture_id=name,
        choices={"name": name},
        seed=seed,
        score=score,
        seconds=1.0,
        failure=None if score is not None else "RuntimeError: no",
        metrics=metrics if score is None else {**metrics, "validation_accuracy": validation},
    )


def test_the_winner_is_chosen_by_validation_and_never_by_test() -> None:
    records = [
        record("a", 1, 0.8, score=0.99),
        record("a", 2, 0.7, score=0.99),
        record("b", 1, 0.7, score=0.1),
        record("b", 2, 0.9, score=0.1),
        record("c", 1, 1.0, is_control=True),
        record("d", 1, 1.0, score=None),
    ]
    assert find_winner(records, {}) == records[2]
    assert find_winner(records[4:], {}) == records[4]  # no candidate could be trained
    assert find_winner(records[5:], {}) is None


def test_among_equals_the_proxy_decides() -> None:
    records = [record(name, 1, 0.8, score=0.5) for name in "abc"]
    assert find_winner(records, {"a": 0.1, "b": 0.3, "c": 0.2}) == records[1]
    assert find_winner(records, {"a": -0.1, "b": -0.3}) == records[0]  # c has none


def test_all_scores_of_a_run_decide_among_equals(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    """Also those of what was verified before and is not asked for now."""
    chosen = chosen_of(tiny_space, toy_splits)
    before = verify_chosen(truth, tiny_space, chosen, tmp_path, SEEDS)
    first, second = before[:2]
    same = {**first.metrics, "validation_accuracy": 0.5}
    write_records(
        tmp_path / "verification.jsonl",
        [replace(one, metrics={**one.metrics, **same}) for one in (first, second)],
    )
    scored = [replace(one, score=-1.0 - place) for place, one in enumerate((first, second))]
    write_records(tmp_path / "proxy.jsonl", scored)
    only = Chosen(candidates=[replace(scored[1], metrics={})], control=[])
    verify_chosen(truth, tiny_space, only, tmp_path, SEEDS)
    facts = json.loads((tmp_path / "best" / "choices.json").read_text())
    assert facts["architecture_id"] == first.architecture_id


def build_fragile(trial: Trial, task: Task) -> nn.Module:
    if trial.suggest_categorical("kind", ("good", "bad")) == "bad":
        return nn.Sequential(nn.Flatten(), nn.Linear(3, task.n_classes))
    return nn.Sequential(nn.Flatten(), nn.Linear(64, task.n_classes))


def test_a_training_that_fails_is_recorded_and_the_others_go_on(
    toy_splits: Splits, tmp_path: Path
) -> None:
    space = SearchSpace(name="fragile", build=build_fragile)
    proxy = [
        replace(record(space.architecture({"kind": kind}).id, 0, 0), choices={"kind": kind})
        for kind in ("bad", "good")
    ]
    chosen = Chosen(candidates=proxy, control=[])
    truth = TrainedTruth(space, toy_splits, TRAINING, device=torch.device("cpu"))
    bad, good = verify_chosen(truth, space, chosen, tmp_path, SEEDS)
    assert bad.score is None
    assert "RuntimeError: mat1 and mat2" in (bad.failure or "")
    assert good.score is not None
    assert find_winner([bad, good], {}) == good


def test_several_seeds_are_several_trainings(
    truth: TrainedTruth, tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    chosen = chosen_of(tiny_space, toy_splits, 1, 1)
    records = verify_chosen(truth, tiny_space, chosen, tmp_path, (1, 2))
    assert [record.seed for record in records] == [1, 2, 1, 2]
    assert records[0].curve != records[1].curve


def test_baselines_score_what_was_verified_and_the_proxy_is_copied(
    tiny_space: SearchSpace, toy_splits: Splits, tmp_path: Path
) -> None:
    chosen = chosen_of(tiny_space, toy_splits)
    proxy = [replace(one, evaluator="gtn", score=0.25) for one in chosen.all]
    counting = Parameters(tiny_space, toy_splits.task, toy_splits.train)
    records = evaluate_baselines([counting], proxy, tiny_space, tmp_path, seed=0)
    assert records[:4] == proxy
    by_hand = []
    for one in proxy:
        network = tiny_space.network(one.choices, toy_splits.task, seed=3)
        by_hand.append(sum(parameter.numel() for parameter in network.parameters()))
    assert [(one.evaluator, one.score) for one in records[4:]] == [("params", n) for n in by_hand]
    assert evaluate_baselines([counting], proxy, tiny_space, tmp_path, seed=0) == records


@pytest.mark.parametrize(
    "values", [{"candidates": 0}, {"control": -1}, {"n_seeds": 0}, {"rounds": 0}]
)
def test_a_wrong_setting_is_one_clear_line(values: dict[str, int]) -> None:
    with pytest.raises(InvalidConfigError, match=r"verification\.\w+ must be at least \d, got"):
        replace(VerificationConfig(), **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["score", "acquisition"])
def test_an_unknown_way_to_choose_is_one_clear_line(name: str) -> None:
    with pytest.raises(UnknownNameError, match=f"verification.{name} 'fuse'"):
        replace(VerificationConfig(), **{name: "fuse"})  # type: ignore[arg-type]


def test_weights_that_are_tied_are_kept(tmp_path: Path, toy_splits: Splits) -> None:
    def build(trial: Trial, task: Task) -> nn.Module:
        inner = nn.Linear(64, 64)
        return nn.Sequential(nn.Flatten(), inner, nn.Tanh(), inner, nn.Linear(64, task.n_classes))

    space = SearchSpace(name="tied", build=build)
    architecture: Architecture = space.architecture({})
    proxy = [replace(record(architecture.id, 0, 0), choices={})]
    truth = TrainedTruth(space, toy_splits, TRAINING, device=torch.device("cpu"))
    chosen = Chosen(candidates=proxy, control=[])
    (found,) = verify_chosen(truth, space, chosen, tmp_path, SEEDS)
    assert accuracy_of(tmp_path, space, toy_splits, "test") == pytest.approx(found.score)


def test_the_verified_are_ordered_by_mean_validation_accuracy_controls_last() -> None:
    rows = [("a", 0.9, 0), ("b", 0.7, 0), ("b", 0.95, 0), ("c", 0.99, 1), ("d", 0.9, 0)]
    records = [
        Evaluation(
            evaluator="ground_truth",
            architecture_id=name,
            choices={},
            seed=number,
            score=0.5,
            seconds=1.0,
            metrics={"validation_accuracy": accuracy, "is_control": float(is_control)},
        )
        for number, (name, accuracy, is_control) in enumerate(rows)
    ]
    found = best_verified(records, {"a": 0.1, "d": 0.2})
    assert [(one.architecture_id, one.seed) for one in found] == [
        ("d", 4),
        ("a", 0),
        ("b", 1),
        ("c", 3),
    ]
