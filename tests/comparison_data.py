"""A made-up comparison of four estimators, for the tests of its page."""

import dataclasses

import numpy as np

from nasgtn.estimates import Comparison, Estimate, Known, estimate
from nasgtn.records import Evaluation
from nasgtn.report.comparison import ComparisonData

N = 24
NOISE = {"gtn": 0.02, "real:16": 0.03, "params": 0.06, "naswot": 0.2}
SECONDS = {"gtn": 0.17, "real:16": 0.18, "params": 0.01, "naswot": 0.03}


def make_rows(n: int = N) -> tuple[Estimate, ...]:
    rng = np.random.default_rng(0)
    truth = 0.8 + 0.1 * rng.random(n)
    known = {
        str(i): Known(
            description=f"width={i}",
            truth=float(truth[i]),
            n_parameters=int(rng.integers(1000, 9000)),
            n_multiply_adds=int(rng.integers(1000, 9000)),
        )
        for i in range(n)
    }
    rows = []
    for name, noise in NOISE.items():
        scores = truth + noise * rng.standard_normal(n)
        records = [
            Evaluation(
                evaluator=name,
                architecture_id=str(i),
                choices={},
                seed=0,
                score=float(scores[i]),
                seconds=SECONDS[name],
            )
            for i in range(n)
        ]
        rows.append(estimate(name, records, known, seed=0))
    rows[1] = dataclasses.replace(rows[1], setting="learning rate 0.01", preparation_seconds=21.0)
    return tuple(rows)


def make_data(
    rows: tuple[Estimate, ...] | None = None, table: str | None = None
) -> ComparisonData:
    return ComparisonData(
        comparison=Comparison(
            n_architectures=N,
            seed=0,
            truth="ground_truth",
            truth_seeds=3,
            n_truth_failed=1,
            truth_seconds_per_candidate=42.0,
            estimators=make_rows() if rows is None else rows,
        ),
        dataset="digits",
        space="convnet",
        table=table,
        command="nasgtn compare --estimators gtn,real:16,params,naswot",
        config={"seed": 0, "data": {"name": "digits", "max_images": None}},
        environment={"nasgtn": "0.1.0"},
    )
