"""Names of the files under `results/<run>/`, and how they are written whole."""

from pathlib import Path

FORMAT = 1
"""Version of the run folder's layout; a run of another version is refused."""

CONFIG = "config.toml"
GENERATOR_WEIGHTS = "generator.safetensors"
GENERATOR_CONFIG = "generator.toml"
META_TRAINING = "meta_training.jsonl"
META_CHECKPOINT = "meta_training.ckpt"
STUDY = "study.db"
JOURNAL = "study.journal"
PROXY = "proxy.jsonl"
BASELINES = "baselines.jsonl"
VERIFICATION = "verification.jsonl"
BEST = "best"
BEST_WEIGHTS = "weights.safetensors"
BEST_CHOICES = "choices.json"
"""Inside of `best/`."""
AUDIT = "audit.json"
REPORT = "report.html"


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
