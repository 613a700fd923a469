"""Verification: the best candidates and a random control are trained on real data.

Or their accuracies are looked up in a table: then there are no weights.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import ClassVar

from nasgtn.artefacts import (
    ANCHOR_WEIGHTS,
    ANCHORS,
    BASELINES,
    BEST,
    BEST_CHOICES,
    BEST_CONFUSION,
    BEST_LATENCY,
    BEST_WEIGHTS,
    CONTROL,
    MULTIPLY_ADDS,
    PROXY,
    VERIFICATION,
    weights_name,
    write_text,
)
from nasgtn.errors import InvalidConfigError, UnknownNameError
from nasgtn.estimates import mean_scores
from nasgtn.evaluation import Counting, Evaluator, KeptEvaluations, Report, Scores, Truth, evaluate
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.progress import Progress, silent
from nasgtn.randomness import derive_seed
from nasgtn.records import (
    GROUND_TRUTH,
    Evaluation,
    append_record,
    or_lowest,
    read_records,
    write_records,
)
from nasgtn.spaces import Architecture, SearchSpace
from nasgtn.training import Trained, save_weights

IS_CONTROL = "is_control"
VALIDATION_ACCURACY = "validation_accuracy"
COSTS = ("n_parameters", "n_multiply_adds", "latency_ms")
SCORES = ("fused", "gtn")
ACQUISITIONS = ("mean", "ei", "ucb")


@dataclass(frozen=True, kw_only=True)
class VerificationConfig:
    """How many architectures are trained on real data after the search."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    candidates: int = 5
    """The best architectures of the search."""
    control: int = 5
    """Others, drawn at random from the whole space (within the limits of the search) and scored by
    the proxy: without them the agreement between the two orders would be judged on the best
    alone."""
    n_seeds: int = 1
    """Trainings of each architecture."""
    shortlist: int = 0
    """So many of the best are trained shortly first, and the candidates are the best of these. 0:
    candidates are chosen by score."""
    shortlist_steps: int = 0
    """Steps of a shortlist's trainings, on images as they are and else as `training` says. 0: as
    the anchors (`anchors.max_steps`), or as `truth.short_table` has them."""
    rounds: int = 1
    """The candidates are verified in so many rounds, or the shortlist is trained in them (1 where
    that is trained otherwise than the anchors); each is chosen knowing those before."""
    score: str = "fused"
    """What chooses the candidates: `fused` (proxy and training-free scores together, calibrated
    by anchors and verified architectures), or `gtn`, the proxy alone."""
    acquisition: str = "ei"
    """What a round after the first goes by: `mean`, `ei` (expected improvement) or `ucb` (upper
    confidence bound)."""

    def __post_init__(self) -> None:
        for name, known in (("score", SCORES), ("acquisition", ACQUISITIONS)):
            if getattr(self, name) not in known:
                raise UnknownNameError.of(f"verification.{name}", getattr(self, name), known)
        counts = dict.fromkeys(("candidates", "n_seeds", "rounds"), 1)
        counts |= dict.fromkeys(("control", "shortlist", "shortlist_steps"), 0)
        for name, least in counts.items():
            if getattr(self, name) < least:
                raise InvalidConfigError(
                    f"verification.{name} must be at least {least}, got {getattr(self, name)}"
                )
        if 0 < self.shortlist < self.candidates:
            raise InvalidConfigError(
                "verification.shortlist must be 0, or at least as many as "
                f"verification.candidates, {self.candidates}, got {self.shortlist}"
            )


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The architectures to verify, as the search evaluated them."""

    candidates: Sequence[Evaluation]
    """Best first."""
    control: Sequence[Evaluation]

    @property
    def all(self) -> list[Evaluation]:
        return [*self.candidates, *self.control]

    def is_control(self, architecture_id: str) -> bool:
        return any(one.architecture_id == architecture_id for one in self.control)


def verify_chosen(
    truth: Truth,
    space: SearchSpace,
    chosen: Chosen,
    folder: Path,
    seeds: Sequence[int],
    *,
    progress: Progress = silent,
) -> list[Evaluation]:
    """Train what was chosen, a line in `verification.jsonl` each, and keep the winner's weights.

    What is in the file already is not trained again, and neither is an anchor: its weights are
    taken, and the seconds of its training count.

    Args:
        truth: Trains and measures, or looks up.
        space: Where the architectures come from.
        chosen: What to train.
        folder: Of the run.
        seeds: One training of each architecture with each.
        progress: Told after each training.

    Returns:
        All records of the file.
    """
    path, best = folder / VERIFICATION, folder / BEST
    best.mkdir(exist_ok=True)
    keeping = _Keeping(truth, best, folder) if isinstance(truth, TrainedTruth) else None
    done = {(record.architecture_id, record.seed): record for record in read_records(path)}
    todo = [(one, seed) for one in chosen.all for seed in seeds]
    n_done = sum((one.architecture_id, seed) in done for one, seed in todo)
    progress("verification", n_done, len(todo), _best_so_far(list(done.values())))
    for one, seed in todo:
        key = one.architecture_id, seed
        if key in done:
            continue
        record = evaluate(keeping or truth, space.architecture(one.choices), seed=seed)
        if keeping and key in keeping.anchors:
            record = replace(record, seconds=record.seconds + keeping.anchors[key].seconds)
        done[key] = replace(record, metrics={**record.metrics, **_facts(one, chosen)})
        append_record(path, done[key])
        n_done += 1
        progress("verification", n_done, len(todo), _best_so_far(list(done.values())))
    records = _update_groups(path, chosen)
    winner = find_winner(records, {**mean_scores(chosen.all), **proxy_scores(folder)})
    if winner is not None:
        _keep_winner(keeping, best, space.architecture(winner.choices), winner)
    return records


def proxy_scores(folder: Path) -> dict[str, float]:
    """Read what the proxy scored of a run, by architecture id: candidates and control."""
    return mean_scores([*read_records(folder / CONTROL), *read_records(folder / PROXY)])


def find_winner(records: Sequence[Evaluation], scores: Mapping[str, float]) -> Evaluation | None:
    """Take the first of `best_verified`, if there is one."""
    return next(iter(best_verified(records, scores)), None)


def best_verified(records: Sequence[Evaluation], scores: Mapping[str, float]) -> list[Evaluation]:
    """Order the verified architectures by mean validation accuracy; among equals by score.

    Test images choose nothing. Controls come after the candidates.

    Args:
        records: By the ground truth.
        scores: Of the proxy, by architecture id.

    Returns:
        The first successful record of each architecture, best first.
    """
    trained: dict[str, list[Evaluation]] = {}
    for record in records:
        if record.score is not None:
            trained.setdefault(record.architecture_id, []).append(record)

    def merit(name: str) -> tuple[bool, float, float, str]:
        accuracy = fmean(record.metrics[VALIDATION_ACCURACY] for record in trained[name])
        is_candidate = not trained[name][0].metrics[IS_CONTROL]
        return is_candidate, accuracy, or_lowest(scores.get(name)), name

    return [trained[name][0] for name in sorted(trained, key=merit, reverse=True)]


def evaluate_baselines(
    evaluators: Sequence[Evaluator],
    proxy: Sequence[Evaluation],
    space: SearchSpace,
    folder: Path,
    *,
    seed: int,
    progress: Progress = silent,
) -> list[Evaluation]:
    """Score the verified architectures with every baseline, a line in `baselines.jsonl` each.

    Args:
        evaluators: The baselines.
        proxy: What the search's proxy found for the architectures; copied, not done again.
        space: Where they come from.
        folder: Of the run; what its file holds already is not evaluated again.
        seed: Root seed of the run.
        progress: Told after each evaluation.
    """
    path = folder / BASELINES
    done = {(record.evaluator, record.architecture_id) for record in read_records(path)}
    for one in proxy:
        if (one.evaluator, one.architecture_id) not in done:
            append_record(path, one)
    todo = [(evaluator, one) for evaluator in evaluators for one in proxy]
    for number, (evaluator, one) in enumerate(todo, start=1):
        if (evaluator.name, one.architecture_id) not in done:
            architecture = space.architecture(one.choices)
            append_record(path, evaluate(evaluator, architecture, seed=baseline_seed(seed)))
        progress("baselines", number, len(todo), evaluator.name)
    return read_records(path)


class _Trainings:
    """The full trainings of a run, which can be counted afterwards."""

    name = GROUND_TRUTH

    def __init__(self, truth: TrainedTruth, records: Sequence[Evaluation]) -> None:
        self._truth = truth
        self._records = {one.architecture_id: one for one in records if one.score is not None}

    def multiply_adds(self, architecture: Architecture) -> int:
        return self._truth.multiply_adds_of(self._records[architecture.id])


def count_costs(
    evaluators: Sequence[Evaluator],
    truth: Truth,
    chosen: Chosen,
    space: SearchSpace,
    folder: Path,
    *,
    progress: Progress = silent,
) -> None:
    """Count the multiply-adds of each evaluation of the verified, a line in a file each.

    Args:
        evaluators: Those that cannot be counted are left out.
        truth: The same of full trainings, one of each architecture.
        chosen: What is verified.
        space: Where the architectures come from.
        folder: Of the run; what its file holds already is not counted again.
        progress: Told after each.
    """
    kept = KeptEvaluations(folder / MULTIPLY_ADDS)
    verified = chosen.all
    countings = [found for one in evaluators if (found := Counting.of(one))]
    if isinstance(truth, TrainedTruth):
        trainings = _Trainings(truth, read_records(folder / VERIFICATION))
        countings.append(Counting(trainings.name, trainings))
    todo = [(counting, one) for counting in countings for one in verified]
    for number, (counting, one) in enumerate(todo, start=1):
        kept.evaluate(counting, space.architecture(one.choices), seed=0)
        progress("multiply-adds", number, len(todo), counting.name)


def baseline_seed(root: int) -> int:
    """Derive the seed of every baseline of a run."""
    return derive_seed(root, "baselines")


class _Keeping:
    """The ground truth, which leaves the weights of each network in a file."""

    def __init__(self, truth: TrainedTruth, best: Path, run: Path) -> None:
        self._truth = truth
        self.folder = best
        self._anchor_weights = run / ANCHOR_WEIGHTS
        self.anchors = {
            (record.architecture_id, record.seed): record
            for record in read_records(run / ANCHORS)
            if self._of_anchor(record.architecture_id, record.seed).exists()
        }
        """Records of the trainings that need not be repeated."""

    @property
    def name(self) -> str:
        return self._truth.name

    def score(
        self, architecture: Architecture, *, seed: int, report: Report | None = None
    ) -> Scores:
        trained = self._train(architecture, seed, report)
        save_weights(trained.network, self.weights(architecture.id, seed))
        return self._truth.judge(trained)

    def confusion(self, winner: Architecture) -> list[tuple[int, int, int]]:
        return self._truth.confusion(winner.choices, self.folder / BEST_WEIGHTS)

    def latency(self, winner: Architecture) -> float:
        return self._truth.latency(winner.choices, self.folder / BEST_WEIGHTS)

    def weights(self, architecture_id: str, seed: int) -> Path:
        return self.folder / weights_name(architecture_id, seed)

    def _train(self, architecture: Architecture, seed: int, report: Report | None) -> Trained:
        anchor = self.anchors.get((architecture.id, seed))
        if anchor is None:
            return self._truth.train(architecture, seed=seed, report=report)
        return self._truth.restore(anchor, self._of_anchor(architecture.id, seed))

    def _of_anchor(self, architecture_id: str, seed: int) -> Path:
        return self._anchor_weights / weights_name(architecture_id, seed)


def _facts(one: Evaluation, chosen: Chosen) -> dict[str, float]:
    costs = {name: one.metrics[name] for name in COSTS if name in one.metrics}
    return {**costs, IS_CONTROL: float(chosen.is_control(one.architecture_id))}


def _update_groups(path: Path, chosen: Chosen) -> list[Evaluation]:
    """Count an architecture among the candidates that was verified as a control before."""
    records = read_records(path)
    candidates = {one.architecture_id for one in chosen.candidates}
    updated = [
        replace(record, metrics={**record.metrics, IS_CONTROL: 0.0})
        if record.architecture_id in candidates
        else record
        for record in records
    ]
    if updated != records:
        write_records(path, updated)
    return updated


def _keep_winner(
    keeping: _Keeping | None, folder: Path, architecture: Architecture, winner: Evaluation
) -> None:
    """Name the winner's files as such, and remove the weights of the others."""
    facts = {
        "architecture_id": architecture.id,
        "description": architecture.description,
        "choices": dict(architecture.choices),
        "seed": winner.seed,
        "test_accuracy": winner.score,
        **winner.metrics,
    }
    text = json.dumps(facts, indent=2) + "\n"
    choices = folder / BEST_CHOICES
    if keeping is None:  # a table has no weights
        write_text(choices, text)
        return
    weights = keeping.weights(architecture.id, winner.seed)
    is_kept = choices.exists() and choices.read_text(encoding="utf-8") == text
    if not weights.exists() and not (is_kept and (folder / BEST_WEIGHTS).exists()):
        keeping.score(architecture, seed=winner.seed)  # its weights went with an earlier winner
    if weights.exists():
        for name in (BEST_CONFUSION, BEST_LATENCY):  # of an earlier winner
            (folder / name).unlink(missing_ok=True)
        write_text(choices, text)
        weights.replace(folder / BEST_WEIGHTS)
    if (folder / BEST_WEIGHTS).exists() and not (folder / BEST_CONFUSION).exists():
        counts = keeping.confusion(architecture)
        write_text(folder / BEST_CONFUSION, json.dumps(counts) + "\n")
    if (folder / BEST_WEIGHTS).exists() and not (folder / BEST_LATENCY).exists():
        milliseconds = 1000 * keeping.latency(architecture)
        write_text(folder / BEST_LATENCY, json.dumps({"milliseconds": milliseconds}) + "\n")
    for path in folder.glob("*-*.safetensors*"):
        path.unlink()


def _best_so_far(records: Sequence[Evaluation]) -> str:
    found = [r.metrics[VALIDATION_ACCURACY] for r in records if r.score is not None]
    return f"best validation accuracy {max(found):.4f}" if found else ""
