import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import toy_search
from optuna.trial import TrialState
from torch import nn
from toy_search import SPACE, TASK, Rising, Searched, Width, build, slow_search

from nasgtn.errors import ArtefactError
from nasgtn.evaluation import Report, Scores
from nasgtn.fusion import Reference
from nasgtn.records import Evaluation, read_records
from nasgtn.search import SAMPLERS, FusedScore, Gate, SearchConfig, TrainingFree, best_candidates
from nasgtn.search.config import TRIALS_PER_CANDIDATE
from nasgtn.search.objective import run_trial
from nasgtn.search.study import open_proxy_study, opened
from nasgtn.spaces import Architecture, SearchSpace, Trial
from nasgtn.task import Task

RANDOM = SearchConfig(sampler="random", trials=8)


def distinct(records: list[Evaluation]) -> set[str]:
    return {record.architecture_id for record in records}


def without_seconds(records: list[Evaluation]) -> list[Evaluation]:
    return [replace(record, seconds=0.0) for record in records]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_sampler_evaluates_as_many_distinct_architectures_as_asked(
    sampler: str, tmp_path: Path
) -> None:
    searched = Searched(tmp_path, SearchConfig(trials=12, sampler=sampler)).run()
    assert len(searched.records) == len(distinct(searched.records)) == 12
    assert {row["architecture_id"] for row in searched.history} == distinct(searched.records)


def test_the_same_seed_leaves_the_same_records(tmp_path: Path) -> None:
    one, same, other = (
        Searched(tmp_path / name, SearchConfig(trials=12), seed=seed).run()
        for name, seed in (("one", 0), ("same", 0), ("other", 1))
    )
    assert without_seconds(one.records) == without_seconds(same.records)
    assert one.history == same.history
    assert without_seconds(one.records) != without_seconds(other.records)


def test_records_tell_score_and_costs_of_the_rebuilt_network(tmp_path: Path) -> None:
    searched = Searched(tmp_path, RANDOM).run()
    for record, row in zip(searched.records, searched.history, strict=False):
        network = SPACE.network(record.choices, TASK, seed=1)
        assert record.score == record.metrics["n_parameters"]
        assert record.score == sum(parameter.numel() for parameter in network.parameters())
        width, kernel = record.choices["width"], record.choices["kernel"]
        assert isinstance(width, int)
        assert isinstance(kernel, int)
        side = 8 - kernel + 1
        by_hand = side * side * kernel * kernel * width + 3 * width
        assert record.metrics["n_multiply_adds"] == by_hand
        if not any(other["is_duplicate"] for other in searched.history):
            assert (row["score"], row["values"]) == (record.score, [record.score])


def test_a_duplicate_is_told_the_known_score_and_not_evaluated_again(tmp_path: Path) -> None:
    by_width = replace(SPACE, canonical=lambda choices: choices["width"])
    searched = Searched(tmp_path, replace(RANDOM, trials=14), space=by_width).run()
    scores = {record.architecture_id: record.score for record in searched.records}
    duplicates = [row for row in searched.history if row["is_duplicate"]]
    assert len(scores) == len(searched.records) == 14
    assert duplicates
    assert len(searched.history) == 14 + len(duplicates)
    assert all(row["score"] == scores[row["architecture_id"]] for row in searched.history)
    firsts = Counter(r["architecture_id"] for r in searched.history if not r["is_duplicate"])
    assert set(firsts.values()) == {1}


def test_a_space_that_is_too_small_ends_the_search(tmp_path: Path) -> None:
    by_kernel = replace(SPACE, canonical=lambda choices: choices["kernel"])
    searched = Searched(tmp_path, replace(RANDOM, trials=5), space=by_kernel).run()
    assert len(searched.records) == 2
    assert len(searched.history) <= 5 * TRIALS_PER_CANDIDATE


@pytest.mark.slow
def test_a_sampler_that_repeats_itself_still_finds_the_last_architecture(tmp_path: Path) -> None:
    config = SearchConfig(trials=32, sampler="tpe")
    by_two = replace(SPACE, canonical=lambda choices: (choices["width"], choices["norm"]))
    searched = Searched(tmp_path, config, space=by_two).run()
    assert len(distinct(searched.records)) == 32


def test_a_finished_search_does_nothing_more(tmp_path: Path) -> None:
    searched = Searched(tmp_path, RANDOM).run()
    before = searched.records, searched.history
    assert (searched.run().records, searched.history) == before


def test_a_search_goes_on_to_a_higher_number_of_trials(tmp_path: Path) -> None:
    first = Searched(tmp_path, RANDOM).run().records
    longer = Searched(tmp_path, replace(RANDOM, trials=10)).run()
    assert longer.records[:8] == first
    assert len(distinct(longer.records)) == 10


@pytest.mark.parametrize(
    ("limits", "metric", "limit"),
    [
        (SearchConfig(trials=8, max_params=60), "n_parameters", 60),
        (SearchConfig(trials=8, max_flops=900), "n_multiply_adds", 900),
    ],
)
def test_an_architecture_beyond_a_limit_is_not_evaluated(
    limits: SearchConfig, metric: str, limit: int, tmp_path: Path
) -> None:
    searched = Searched(tmp_path, limits).run()
    assert len(searched.records) == 8
    assert all(record.metrics[metric] <= limit for record in searched.records)
    infeasible = [row for row in searched.history if row["state"] == "infeasible"]
    assert infeasible
    assert all(row["score"] is None and row["values"] is None for row in infeasible)
    assert not {row["architecture_id"] for row in infeasible} & distinct(searched.records)


def test_latency_is_measured_where_it_is_limited(tmp_path: Path) -> None:
    config = replace(RANDOM, max_latency_ms=1e6, trials=2)
    assert all(0 < r.metrics["latency_ms"] < 1e6 for r in Searched(tmp_path, config).run().records)
    strict = Searched(tmp_path / "strict", replace(config, max_latency_ms=1e-9)).run()
    assert strict.records == []
    assert {row["state"] for row in strict.history} == {"infeasible"}


def test_two_objectives_are_told_both_values(tmp_path: Path) -> None:
    config = SearchConfig(trials=10, sampler="nsga2", objectives=("accuracy", "params"))
    searched = Searched(tmp_path, config, evaluator=Width()).run()
    by_id = {record.architecture_id: record for record in searched.records}
    for row in searched.history:
        record = by_id[row["architecture_id"]]
        assert row["values"] == [record.score, record.metrics["n_parameters"]]
    with opened(searched.place) as storage:
        study = open_proxy_study(storage, searched.place, config, seed=0)
        assert [direction.name for direction in study.directions] == ["MAXIMIZE", "MINIMIZE"]


def test_scores_on_the_way_are_reported(tmp_path: Path) -> None:
    searched = Searched(tmp_path, RANDOM, evaluator=Width()).run()
    with opened(searched.place) as storage:
        study = open_proxy_study(storage, searched.place, RANDOM, seed=0)
        values = {t.number: t.intermediate_values for t in study.trials}
    for row in searched.history:
        if not row["is_duplicate"]:
            assert values[row["number"]] == {1: row["score"] / 2, 2: row["score"]}


def test_a_poor_evaluation_is_pruned_and_becomes_no_candidate(tmp_path: Path) -> None:
    config = SearchConfig(trials=24, sampler="random", prune=True)
    searched = Searched(tmp_path, config, evaluator=Width()).run()
    pruned = [record for record in searched.records if record.metrics.get("is_pruned")]
    whole = [record for record in searched.records if record not in pruned]
    assert 3 < len(pruned) < 20
    assert {len(record.curve) for record in pruned} == {1}
    assert {len(record.curve) for record in whole} == {2}  # after the last step nothing is saved
    states = {row["architecture_id"]: row["state"] for row in searched.history}
    assert all(states[record.architecture_id] == "pruned" for record in pruned)
    assert not distinct(pruned) & distinct(best_candidates(searched.records, 24))


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_rungs_stop_the_lower_part_and_the_best_reach_the_end(pruner: str, tmp_path: Path) -> None:
    config = SearchConfig(trials=20, sampler="random", prune=True, pruner=pruner)
    searched = Searched(tmp_path, config, evaluator=Rising(), rungs=(4, 8, 16)).run()
    lengths = {n: [r for r in searched.records if len(r.curve) == n] for n in (1, 2, 3)}
    assert sum(map(len, lengths.values())) == 20
    assert len(lengths[1]) + len(lengths[2]) > 4
    assert {r.curve[-1][0] for r in lengths[3]} == {16}
    assert all(bool(r.metrics.get("is_pruned")) == (len(r.curve) < 3) for r in searched.records)
    best = max(searched.records, key=lambda one: int(str(one.choices["width"])))
    assert best in lengths[3]


class Parity:
    """A score without training, which knows half of the truth: wide or narrow."""

    name = "parity"

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        return Scores(score=float(int(str(architecture.choices["width"])) > 4))


def parity_in(folder: Path) -> TrainingFree:
    return TrainingFree(
        evaluators={"parity": Parity()}, records=folder / "baselines.jsonl", seed=3
    )


def gated_in(folder: Path, **settings: Any) -> Searched:  # noqa: ANN401 - of SearchConfig
    gate = Gate(free=parity_in(folder), weights={"parity": 1.0}, share=0.2)
    config = SearchConfig(**{"trials": 20, "sampler": "random", **settings})
    return Searched(folder, config, evaluator=Width(), gate=gate)


def test_the_gate_stops_the_lowest_and_what_it_stops_is_counted_and_never_chosen(
    tmp_path: Path,
) -> None:
    searched = gated_in(tmp_path).run()
    gated = [one for one in searched.records if one.metrics.get("is_gated")]
    assert len(searched.records) == 20
    assert 1 < len(gated) < 8
    assert all(int(str(one.choices["width"])) <= 4 for one in gated)
    assert gated[0] not in searched.records[:10]  # too few were seen to say what is low
    assert all(one.score is None and "lowest 20%" in str(one.failure) for one in gated)
    states = {row["architecture_id"]: row["state"] for row in searched.history}
    assert {states[one.architecture_id] for one in gated} == {"gated"}
    assert not distinct(gated) & distinct(best_candidates(searched.records, 20))
    free = read_records(tmp_path / "baselines.jsonl")
    assert distinct(free) == distinct(searched.records)
    assert len(free) == 20


def test_the_gate_works_with_several_objectives_and_a_pruner(tmp_path: Path) -> None:
    for name, settings in (
        ("two", {"objectives": ("accuracy", "params"), "sampler": "tpe"}),
        ("pruned", {"prune": True, "pruner": "halving", "sampler": "tpe"}),
    ):
        (tmp_path / name).mkdir()
        records = gated_in(tmp_path / name, trials=14, **settings).run().records
        assert len(records) == 14
        assert best_candidates(records, 5)


@pytest.mark.parametrize("objectives", [("accuracy",), ("params", "accuracy")])
def test_a_study_is_told_the_fused_score_and_records_keep_the_evaluators(
    objectives: tuple[str, ...], tmp_path: Path
) -> None:
    reference = Reference(
        scores={"width": np.array([2.0, 4.0, 6.0]), "parity": np.array([0.0, 1.0, 1.0])},
        weights={"width": 1.0, "parity": 2.0},
    )
    fused = FusedScore(free=parity_in(tmp_path), reference=reference)
    config = SearchConfig(trials=8, objectives=objectives)
    searched = Searched(tmp_path, config, evaluator=Width(), fused=fused).run()
    before = {one.architecture_id: one for one in searched.records}
    for row in searched.history:
        width = int(str(before[row["architecture_id"]].choices["width"]))
        expected = reference.summed_log_ranks({"width": width, "parity": float(width > 4)})
        assert row["values"][objectives.index("accuracy")] == pytest.approx(expected)
        assert row["score"] == width
    assert distinct(read_records(tmp_path / "baselines.jsonl")) == set(before)
    best = best_candidates(searched.records, 1)[0]
    assert best.score == max(one.score or 0 for one in before.values())


def fail_sometimes(trial: Trial, task: Task) -> nn.Module:
    network = build(trial, task)
    kind = trial.suggest_categorical("kind", ("good", "raises", "no network", "wrong input"))
    if kind == "raises":
        raise RuntimeError("this one cannot be built")
    if kind == "no network":
        return "no network"  # type: ignore[return-value]
    return nn.Sequential(nn.Linear(5, 5), network) if kind == "wrong input" else network


def test_a_failing_architecture_costs_its_trial_alone(tmp_path: Path) -> None:
    space = SearchSpace(name="failing", build=fail_sometimes)
    searched = Searched(tmp_path, replace(RANDOM, trials=24), space=space).run()
    assert len(searched.records) == 24
    rows = {row["architecture_id"]: row for row in searched.history}
    messages = {
        "raises": "this one cannot be built",
        "no network": "must return an nn.Module, got str",
        "wrong input": "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
    }
    assert {record.choices["kind"] for record in searched.records} == {"good", *messages}
    for record in searched.records:
        row, kind = rows[record.architecture_id], record.choices["kind"]
        if kind == "good":
            assert row["state"] == "complete"
        else:
            assert record.score is None
            assert record.failure is not None
            assert messages[str(kind)] in record.failure
            assert (row["state"], row["failure"]) == ("failed", record.failure)


def test_a_choice_that_cannot_be_named_costs_its_trial_alone(tmp_path: Path) -> None:
    def name(choices: object) -> object:
        raise ValueError("no name for this")

    space = replace(SPACE, canonical=name)
    searched = Searched(tmp_path, replace(RANDOM, trials=2), space=space).run()
    assert searched.records == []
    assert {row["state"] for row in searched.history} == {"failed"}
    assert all("no name for this" in row["failure"] for row in searched.history)


class NotFinite(Width):
    """Is NaN for every second width."""

    def score(self, *args: object, **more: object) -> Scores:
        scores = super().score(*args, **more)  # type: ignore[arg-type]
        return replace(scores, score=math.nan) if scores.score % 2 else scores


def test_a_score_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    searched = Searched(tmp_path, RANDOM, evaluator=NotFinite()).run()
    failed = [record for record in searched.records if record.score is None]
    assert failed
    assert len(failed) < 8
    assert all("not finite (nan)" in (record.failure or "") for record in failed)
    assert sum(row["state"] == "failed" for row in searched.history) >= len(failed)


def test_progress_counts_distinct_architectures_and_tells_the_best(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int, str]] = []

    def listen(stage: str, done: int, total: int, note: str = "") -> None:
        seen.append((stage, done, total, note))

    searched = Searched(tmp_path, RANDOM).run(listen)
    best = max(record.score or 0.0 for record in searched.records)
    assert seen[-1] == ("search", 8, 8, f"best score {best:.4f}")
    assert [done for _, done, _, _ in seen] == sorted(done for _, done, _, _ in seen)


class Interrupting(Width):
    """Behaves like a user who presses Ctrl-C in the fourth evaluation."""

    n_calls = 0

    def score(self, *args: object, **more: object) -> Scores:
        self.n_calls += 1
        if self.n_calls == 4:
            raise KeyboardInterrupt
        return super().score(*args, **more)  # type: ignore[arg-type]


def test_ctrl_c_passes_through_and_leaves_a_search_that_goes_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Searched(tmp_path, RANDOM, evaluator=Interrupting()).run()
    interrupted = Searched(tmp_path, RANDOM, evaluator=Width())
    first = interrupted.records
    assert len(first) == 3
    interrupted.run()
    assert interrupted.records[:3] == first
    assert len(interrupted.records) == len(distinct(interrupted.records)) == 8
    assert {row["state"] for row in interrupted.history} == {"complete"}


def test_a_record_that_was_never_told_is_told_and_not_evaluated_again(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        Searched(tmp_path, RANDOM, evaluator=Interrupting()).run()
    searched = Searched(tmp_path, RANDOM, evaluator=Width())
    with opened(searched.place) as storage:
        study = open_proxy_study(storage, searched.place, RANDOM, seed=0)
        choices = study.trials[-1].params
    known = SPACE.architecture(choices).id
    line = searched.problem.records.read_text().splitlines()[0]
    old = searched.records[0].architecture_id
    with searched.problem.records.open("a") as file:  # killed between the record and the tell
        file.write(line.replace(old, known).replace('"score": ', '"score": 1') + "\n")
    searched.run()
    assert sum(record.architecture_id == known for record in searched.records) == 1
    told = [row for row in searched.history if row["architecture_id"] == known]
    assert [row["is_duplicate"] for row in told][:1] == [False]
    assert told[0]["score"] == searched.records[3].score


def test_a_study_of_another_run_is_not_filled_up(tmp_path: Path) -> None:
    config = replace(RANDOM, storage=f"sqlite:///{tmp_path / 'shared.db'}")
    (tmp_path / "results").mkdir()
    (tmp_path / "elsewhere").mkdir()
    Searched(tmp_path / "results" / "run", config).run()
    with pytest.raises(ArtefactError, match="study 'run/proxy' of another run; name this run"):
        Searched(tmp_path / "elsewhere" / "run", config).run()


def start_and_kill(folder: Path, workers: int, n_records: int) -> None:
    folder.mkdir()
    records = folder / "proxy.jsonl"
    process = subprocess.Popen(
        [sys.executable, toy_search.__file__, str(folder), str(workers)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 60
        while not records.exists() or records.read_bytes().count(b"\n") < n_records:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def check_carried_on(searched: Searched, before: list[Evaluation]) -> None:
    """No finished evaluation is lost, none done twice, each one told to the study."""
    assert searched.records[: len(before)] == before
    assert len(searched.records) == len(distinct(searched.records))
    told = Counter(row["architecture_id"] for row in searched.history if not row["is_duplicate"])
    assert set(told) == distinct(searched.records)
    assert set(told.values()) == {1}


@pytest.mark.slow
def test_a_killed_search_goes_on_where_it_was(tmp_path: Path) -> None:
    start_and_kill(tmp_path / "run", workers=1, n_records=4)
    searched = slow_search(tmp_path / "run", workers=1)
    before = searched.records
    assert 4 <= len(before) < 30
    check_carried_on(searched.run(), before)
    assert len(searched.records) == 30


@pytest.mark.slow
def test_two_workers_share_one_search(tmp_path: Path) -> None:
    searched = slow_search(tmp_path, workers=2).run()
    assert 30 <= len(searched.records) == len(distinct(searched.records)) <= 31
    assert (tmp_path / "study.journal").exists()
    check_carried_on(searched, searched.records)


@pytest.mark.slow
def test_killed_workers_go_on_where_they_were(tmp_path: Path) -> None:
    start_and_kill(tmp_path / "run", workers=2, n_records=6)
    time.sleep(0.5)  # the workers end with their parent
    searched = slow_search(tmp_path / "run", workers=2)
    before = searched.records
    time.sleep(0.5)
    assert searched.records == before
    check_carried_on(searched.run(), before)
    assert 30 <= len(searched.records) <= 31


def test_a_trial_waits_for_an_earlier_one_that_has_not_said_what_it_proposes(
    tmp_path: Path,
) -> None:
    only_one = replace(SPACE, canonical=lambda choices: "the same")
    searched = Searched(tmp_path, RANDOM, space=only_one)
    searched.problem.records.touch()
    with opened(searched.place) as storage:
        study = open_proxy_study(storage, searched.place, RANDOM, seed=0)
        earlier = study.ask()
        later = threading.Thread(target=run_trial, args=(study, searched.problem, RANDOM))
        later.start()
        time.sleep(0.5)
        assert later.is_alive()
        assert not searched.records
        study.tell(earlier, state=TrialState.FAIL)
        later.join()
    assert len(searched.records) == 1


def end_process(trial: Trial, task: Task) -> nn.Module:
    os._exit(3)


@pytest.mark.slow
def test_a_worker_that_dies_ends_the_search_in_one_line(tmp_path: Path) -> None:
    space = SearchSpace(name="deadly", build=end_process)
    with pytest.raises(ArtefactError, match=r"ended with exit code 3; .* can be resumed"):
        replace(slow_search(tmp_path, workers=2), space=space).run()
