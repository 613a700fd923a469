"""A made-up run that looks like a real one, for the tests of report and dashboard."""

import dataclasses
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from nasgtn.records import Choice, Evaluation
from nasgtn.report import RunData

TASK = {
    "name": "digits",
    "input_shape": [1, 8, 8],
    "class_names": [str(digit) for digit in range(10)],
    "n_train": 1149,
    "n_validation": 288,
    "n_test": 360,
}
LAYERS: list[dict[str, Any]] = [
    {"name": name, "kind": kind, "output_shape": sizes, "n_parameters": n, "inputs": inputs}
    for name, kind, sizes, n, inputs in (
        ("stem", "Conv2d", [32, 8, 8], 320, [-1]),
        ("stem.norm", "BatchNorm2d", [32, 8, 8], 64, [0]),
        ("stage.0", "Conv2d", [32, 8, 8], 9248, [1]),
        ("pool", "AdaptiveAvgPool2d", [32, 4, 4], 0, [1, 2]),
        ("head", "Linear", [10], 5130, [3]),
    )
]
CONFUSION = [one for c in range(10) for one in ((c, c, 34), (c, (c + 1) % 10, 2))]
"""Of every class, 34 test images are right, and 2 are taken for the next class."""
CONFIG: dict[str, Any] = {
    "seed": 0,
    "device": "auto",
    "data": {"name": "digits", "validation_fraction": 0.2, "test_fraction": 0.2},
    "space": {"name": "convnet", "options": {}},
    "gtn": {"inner_loop": {"n_steps": 16, "batch_size": 64}, "meta_training": {"steps": 200}},
    "search": {"sampler": "tpe", "trials": 48, "objectives": ["accuracy"]},
    "verification": {"candidates": 5, "control": 5, "n_seeds": 1},
}

MULTIPLY_ADDS = {
    "gtn": 1.5e9,
    "params": 0.0,
    "flops": 1e6,
    "synflow": 3e6,
    "naswot": 2e8,
    "jacob_cov": 3e8,
    "grad_norm": 4e8,
    "real:16": 1.5e9,
    "ground_truth": 4e11,
}


def make_run(
    n_trials: int = 48, n_candidates: int = 5, n_control: int = 5, seed: int = 0
) -> RunData:
    """Make a run whose proxy agrees with the truth about as well as a good one does."""
    rng = np.random.default_rng(seed)
    n = n_trials
    accuracy = np.clip(0.985 - 0.06 * rng.exponential(size=n), 0.3, 1)
    scores = np.clip(accuracy - 0.2 + 0.03 * rng.standard_normal(n), 0.05, 0.99)
    sizes = rng.integers(2_000, 90_000, n)
    ids = [f"{seed:04x}{number:08x}" for number in range(n)]
    choices: list[dict[str, Choice]] = [
        {
            "depth": int(rng.integers(1, 5)),
            "width": int(rng.choice([8, 16, 32, 64])),
            "kernel": int(rng.choice([1, 3, 5])),
            "norm": str(rng.choice(["none", "batch", "group"])),
            "head": str(rng.choice(["flat", "pooled"])),
        }
        for _ in range(n)
    ]
    history: list[dict[str, Any]] = []
    proxy: list[Evaluation] = []

    def evaluation(evaluator: str, i: int, score: float | None, **more: object) -> Evaluation:
        values: dict[str, Any] = {"seconds": float(rng.uniform(0.2, 0.4)), **more}
        return Evaluation(
            evaluator=evaluator,
            architecture_id=ids[i],
            choices=choices[i],
            seed=seed,
            score=score,
            **values,
        )

    for i in range(n):
        trial = {"number": i, "architecture_id": ids[i], "is_duplicate": False}
        if i % 13 == 12:
            j = int(rng.integers(i))
            again = {**history[j], "number": i, "is_duplicate": True}
            history.append(again)
            continue
        if i % 17 == 16:
            failure = "OutOfMemoryError: the network needs 3.2 GiB"
            proxy.append(evaluation("gtn", i, None, failure=failure))
            history.append({**trial, "state": "failed", "score": None, "values": None})
            continue
        state = "pruned" if scores[i] < 0.62 else "complete"
        proxy.append(
            evaluation("gtn", i, float(scores[i]), metrics={"accuracy": float(scores[i])})
        )
        history.append(
            {**trial, "state": state, "score": float(scores[i]), "values": [float(scores[i])]}
        )

    known = sorted((r for r in proxy if r.score is not None), key=lambda r: -(r.score or 0))
    picked = [ids.index(record.architecture_id) for record in known]
    candidates, rest = picked[:n_candidates], picked[n_candidates:]
    controls = sorted(int(i) for i in rng.permutation(rest)[:n_control])
    verified = [*candidates, *controls]
    verification = [
        evaluation(
            "ground_truth",
            i,
            float(accuracy[i]),
            seconds=float(rng.uniform(9, 14)),
            metrics={
                "is_control": float(i in controls),
                "validation_accuracy": float(np.clip(accuracy[i] + 0.004 * rng.normal(), 0, 1)),
                "n_parameters": float(sizes[i]),
                "n_multiply_adds": float(sizes[i] * 40 + 7 * i),
            },
            curve=tuple((e, float(accuracy[i] * (1 - 0.6 * 0.7**e))) for e in range(1, 11)),
        )
        for i in verified
    ]
    estimates = {
        "gtn": scores,
        "params": sizes.astype(float),
        "flops": sizes * 40.0,
        "synflow": 30 * accuracy + 3 * rng.standard_normal(n),
        "naswot": 400 + 90 * accuracy + 9 * rng.standard_normal(n),
        "grad_norm": rng.standard_normal(n),
        "real:16": np.clip(accuracy - 0.3 + 0.06 * rng.standard_normal(n), 0, 1),
    }
    estimates["fused"] = scores + 0.01 * estimates["synflow"]
    estimates["fused without gtn"] = estimates["synflow"]
    baselines = [
        evaluation(
            name,
            i,
            float(values[i]),
            seconds=0.3 if name in ("gtn", "real:16") else 0.02,
            curve=((8, 0.8 * float(values[i])), (16, float(values[i]))) if name == "gtn" else (),
        )
        for name, values in estimates.items()
        for i in verified
    ]
    return RunData(
        name="digits-convnet-0",
        command="nasgtn search --config results/digits-convnet-0/config.toml",
        config=CONFIG,
        environment={
            "nasgtn": "0.1.0",
            "python": "3.11.7",
            "torch": "2.13.0",
            "cpu": "2 cores",
        },
        task=TASK,
        space={"name": "convnet", "summary": "Plain and residual convolutional networks."},
        proxy=proxy,
        descriptions={
            name: " ".join(f"{key}={value}" for key, value in chosen.items())
            for name, chosen in zip(ids, choices, strict=True)
        },
        history=history,
        verification=verification,
        baselines=baselines,
        multiply_adds=MULTIPLY_ADDS if verified else {},
        importances={"width": 0.42, "norm": 0.31, "depth": 0.17, "kernel": 0.07, "head": 0.03},
        meta_training=[
            {
                "meta_step": step,
                "meta_loss": float(0.4 + 1.9 * np.exp(-step / 40) + 0.05 * rng.random()),
                "accuracy": float(0.9 - 0.75 * np.exp(-step / 40) + 0.02 * rng.random()),
            }
            for step in range(200)
        ],
        synthetic=make_images(rng),
        layers=LAYERS,
        costs={"meta_training": 31.0, "search": 14.2, "verification": 118.0, "baselines": 6.5},
        learning_rates=[0.02 * 0.93**step for step in range(16)],
        momenta=[0.5 + 0.02 * step for step in range(16)],
        confusion=CONFUSION,
    )


def make_foretold() -> RunData:
    """Make the same run with anchors, and with predictions that were made before verification."""
    data = make_run()
    first = data.verification[0]
    accuracies = np.linspace(0.8, 0.98, 12).tolist()
    predictions = [
        dataclasses.replace(
            one,
            evaluator="calibrated",
            score=8 * ((one.score or 0.0) - 0.93),
            metrics={"std": 0.5},
        )
        for one in data.verification
    ]
    return dataclasses.replace(
        data,
        anchors=[
            dataclasses.replace(first, architecture_id=f"anchor {i}", score=accuracy)
            for i, accuracy in enumerate(accuracies)
        ],
        baselines=[*data.baselines, *predictions],
    )


def make_images(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Sixteen steps of 40 noisy digits, four a class."""
    digits = load_digits()
    labels = np.tile(np.repeat(np.arange(10), 4), (16, 1))
    index = np.array(
        [[rng.choice(np.flatnonzero(digits.target == label)) for label in row] for row in labels]
    )
    images = digits.images[index] * 15 + 25 * rng.standard_normal((*index.shape, 8, 8))
    return np.clip(images, 0, 255).astype(np.uint8)[..., None], labels
