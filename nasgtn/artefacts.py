"""Names of the files under `results/<run>/`, and how they are written whole."""

from pathlib import Path

FORMAT = 3
"""Version of the run folder's layout; a run of another version is refused."""

CONFIG = "config.toml"
ANCHORS = "anchors.jsonl"
ANCHOR_WEIGHTS = "anchors"
"""Folder of the anchors' trained networks."""
GENERATOR_WEIGHTS = "generator.safetensors"
GENERATOR_CONFIG = "generator.toml"
META_TRAINING = "meta_training.jsonl"
META_CHECKPOINT = "meta_training.ckpt"
STUDY = "study.db"
JOURNAL = "study.journal"
PROXY = "proxy.jsonl"
SHORTLIST = "shortlist.jsonl"
"""Short trainings of the best of the search, from which the candidates are chosen."""
CONTROL = "control.jsonl"
"""Proxy scores of the control, of those that the search had not evaluated."""
BASELINES = "baselines.jsonl"
MULTIPLY_ADDS = "multiply_adds.jsonl"
"""What a full training, and a score by the proxy and each baseline, costs on the verified."""
VERIFICATION = "verification.jsonl"
BEST = "best"
BEST_WEIGHTS = "weights.safetensors"
BEST_CHOICES = "choices.json"
BEST_CONFUSION = "confusion.json"
BEST_LATENCY = "latency.json"
"""Inside of `best/`."""
AUDIT = "audit.json"
SUMMARY = "summary.json"
REPORT = "report.html"
FINISHED = "finished"
"""Is there once all stages are done: a report may be written of a run that was stopped, too."""
COMPARISON = "comparison.html"
"""Of several runs, in the folder where the user is."""


def weights_name(architecture_id: str, seed: int) -> str:
    """Name the file of a trained network's weights."""
    return f"{architecture_id}-{seed}.safetensors"


def write_text(path: Path, text: str) -> None:
    """Write a text file whole, or leave the old one."""
    write_bytes(path, text.encode("utf-8"))


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file whole, or leave the old one.

    Raises:
        OSError: The disk refuses it, by being full for one.
    """
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(content)
    partial.replace(path)
