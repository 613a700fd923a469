from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import spearmanr

from nasgtn.candidacy import Pool, fused_records, rate
from nasgtn.fusion import PARTS, calibrate, summed_log_ranks
from nasgtn.records import CALIBRATED, FUSED, WITHOUT, Evaluation

N = 40
IDS = [f"a{index:02}" for index in range(N)]


def quality() -> NDArray[np.float64]:
    return np.random.default_rng(0).normal(size=N)


def records(parts: Sequence[str] = tuple(PARTS)) -> list[Evaluation]:
    rng = np.random.default_rng(1)
    return [
        Evaluation(
            evaluator=part,
            architecture_id=name,
            choices={},
            seed=0,
            score=float(value + (0.2 if part == "gtn" else 1.0) * rng.normal()),
            seconds=1.0,
        )
        for part in parts
        for name, value in zip(IDS, quality(), strict=True)
    ]


def labels(n: int) -> dict[str, float]:
    return dict(zip(IDS[:n], quality()[:n].tolist(), strict=True))


def test_without_labels_the_weighted_log_ranks_decide() -> None:
    found = records()
    pool = Pool.of(IDS, found)
    columns = [[one.score for one in found if one.evaluator == part] for part in PARTS]
    expected = summed_log_ranks(np.array(columns, dtype=float).T, list(PARTS.values()))
    assert list(rate(pool, {}, "ei", seed=0).values()) == pytest.approx(expected)


def test_with_labels_the_calibration_decides() -> None:
    pool = Pool.of(IDS, records())
    known = labels(20)
    features, weights = pool.table()
    column = [known.get(name, np.nan) for name in IDS]
    expected = calibrate(features, column, seed=3, weights=weights)
    assert list(rate(pool, known, "mean", seed=3).values()) == pytest.approx(expected.mean)


def test_labels_of_architectures_outside_are_not_read() -> None:
    pool = Pool.of(IDS[:30], records())
    inside = {name: value for name, value in labels(N).items() if name in IDS[:20]}
    outside = {**inside, "b00": 9.0, IDS[35]: -9.0}
    assert rate(pool, inside, "ucb", seed=0) == rate(pool, outside, "ucb", seed=0)


def test_uncertain_architectures_rise_under_the_upper_bound() -> None:
    pool = Pool.of(IDS, records())
    mean, bound = (list(rate(pool, labels(20), one, seed=0).values()) for one in ("mean", "ucb"))
    assert all(b > m for m, b in zip(mean, bound, strict=True))


def test_a_missing_score_ranks_lowest() -> None:
    kept = [one for one in records() if (one.architecture_id, one.evaluator) != ("a05", "gtn")]
    worse = list(rate(Pool.of(IDS, kept), {}, "mean", seed=0).values())
    better = list(rate(Pool.of(IDS, records()), {}, "mean", seed=0).values())
    assert worse[5] <= better[5]
    assert np.isfinite(worse).all()


def test_the_report_gets_each_fused_score_with_and_without_the_proxy() -> None:
    found = records()
    pool = Pool.of(IDS, found)
    proxy = [one for one in found if one.evaluator == "gtn"][10:]
    made = fused_records(pool, proxy, labels(10), seed=0)
    names = {FUSED, FUSED + WITHOUT, CALIBRATED, CALIBRATED + WITHOUT}
    assert {one.evaluator for one in made} == names
    assert len(made) == len(names) * len(proxy)
    fused = [one.score for one in made if one.evaluator == FUSED]
    assert fused == pytest.approx(pool.fused()[10:])
    alone = [one.score for one in made if one.evaluator == FUSED + WITHOUT]
    truth = quality()[10:]
    assert spearmanr(fused, truth).statistic > spearmanr(alone, truth).statistic


@pytest.mark.parametrize("known", [labels(3), dict.fromkeys(IDS[:20], 1.0)], ids=["few", "equal"])
def test_labels_that_tell_nothing_leave_the_calibrated_score_out(known: dict[str, float]) -> None:
    found = records()
    pool = Pool.of(IDS, found)
    proxy = [one for one in found if one.evaluator == "gtn"]
    made = fused_records(pool, proxy, known, seed=0)
    assert {one.evaluator for one in made} == {FUSED, FUSED + WITHOUT}
    for acquisition in ("mean", "ei", "ucb"):
        assert rate(pool, known, acquisition, seed=0) == rate(pool, {}, acquisition, seed=0)


def test_a_fused_score_takes_the_seconds_of_what_it_reads() -> None:
    found = records()
    proxy = [one for one in found if one.evaluator == "gtn"]
    made = fused_records(Pool.of(IDS, found), proxy, labels(20), seed=0)
    seconds = {one.evaluator: one.seconds for one in made}
    n_read = sum(weight > 0 for weight in PARTS.values())
    assert seconds == {
        FUSED: n_read,
        FUSED + WITHOUT: n_read - 1,
        CALIBRATED: len(PARTS),
        CALIBRATED + WITHOUT: len(PARTS) - 1,
    }
