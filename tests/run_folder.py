"""Writes the folder of a made-up run, as far as `nasgtn status` and the live view read it."""

import json
from dataclasses import asdict
from pathlib import Path

from run_data import make_run

from nasgtn.artefacts import FORMAT
from nasgtn.records import Evaluation

CONFIG = """
seed = 0
{generator}
[anchors]
n = 24
[gtn.meta_training]
n_meta_steps = 200
[search]
trials = {trials}
workers = {workers}
[verification]
candidates = 5
control = 5
n_seeds = 1
[versions]
format = {format}
[environment]
[task]
"""


def write_config(
    folder: Path, *, trials: int = 48, workers: int = 1, generator: str | None = None
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    given = "" if generator is None else f'generator = "{generator}"'
    text = CONFIG.format(trials=trials, workers=workers, generator=given, format=FORMAT)
    (folder / "config.toml").write_text(text)
    return folder


def write_lines(path: Path, records: list[Evaluation]) -> None:
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in records))


def write_run(folder: Path, n_trials: int = 48) -> Path:
    """Leave a run whose verification goes on; with as many records as a real one has."""
    data = make_run(n_trials=n_trials)
    write_config(folder, trials=n_trials)
    steps = [{**step, "seconds": 0.15} for step in data.meta_training]
    (folder / "meta_training.jsonl").write_text("".join(json.dumps(one) + "\n" for one in steps))
    write_lines(folder / "proxy.jsonl", list(data.proxy))
    write_lines(folder / "verification.jsonl", list(data.verification))
    write_lines(folder / "baselines.jsonl", 10 * list(data.proxy))
    return folder
