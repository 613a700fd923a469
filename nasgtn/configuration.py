"""The whole configuration of a run: composed, checked, read from TOML, written with the run."""

import dataclasses
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar

import tomli_w
import torch

from nasgtn import __version__
from nasgtn.anchors import AnchorConfig
from nasgtn.artefacts import CONFIG, FORMAT, write_text
from nasgtn.data.sources import DataConfig
from nasgtn.errors import InvalidConfigError
from nasgtn.evaluation import TruthConfig
from nasgtn.evaluation.proxy import ProxyConfig
from nasgtn.facts import FACTS, read_toml, without_none
from nasgtn.gtn import GtnConfig
from nasgtn.search import SearchConfig
from nasgtn.spaces import Choice
from nasgtn.training import TrainingConfig
from nasgtn.validation import Table, validated
from nasgtn.verification import VerificationConfig


@dataclass(frozen=True, kw_only=True)
class SpaceConfig:
    """Which architectures to search."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    name: str = "convnet"
    """A built-in name, the path of a Python file, or `package.module:attribute`."""
    options: dict[str, Choice] = field(default_factory=dict)
    """Keyword arguments of the space's `build`."""


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Everything that decides what a run does."""

    __pydantic_config__: ClassVar[dict[str, str]] = {"extra": "forbid"}

    seed: int = 0
    """Root of all randomness."""
    device: str = "auto"
    """auto (CUDA where there is one), cpu, cuda or cuda:N."""
    generator: str | None = None
    """Folder of a trained generator to use; None: train one."""
    data: DataConfig = field(default_factory=DataConfig)
    space: SpaceConfig = field(default_factory=SpaceConfig)
    anchors: AnchorConfig = field(default_factory=AnchorConfig)
    gtn: GtnConfig = field(default_factory=GtnConfig)
    proxy: ProxyConfig = field(default_factory=ProxyConfig)
    search: SearchConfig = field(default_factory=SearchConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    truth: TruthConfig = field(default_factory=TruthConfig)
    verification: VerificationConfig = field(default_factory=VerificationConfig)

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise InvalidConfigError(f"seed must be at least 0, got {self.seed}")
        pick_device(self.device)
        if self.generator is None:
            check_steps(self.proxy, self.gtn)
        if self.search.prune and self.proxy.n_probes < 2 and not self.proxy.rungs:
            raise InvalidConfigError(
                "search.prune needs proxy.n_probes of at least 2, or proxy.rungs, got "
                f"{self.proxy.n_probes} and none"
            )
        self._check_shortlist()
        if self.anchors.are_short:
            self._check_short_anchors()
        if self.truth.table is not None and self.verification.n_seeds > 1:
            raise InvalidConfigError(
                "verification.n_seeds must be 1 with truth.table, which has one accuracy an "
                f"architecture, got {self.verification.n_seeds}"
            )

    @property
    def shortlist_is_its_own(self) -> bool:
        """Whether a shortlist's trainings are other ones than those of anchors."""
        return self.truth.short_table is not None or self.shortlist_training != self.anchors

    @property
    def shortlist_training(self) -> AnchorConfig:
        """How a shortlist is trained, where no table has it."""
        steps = self.verification.shortlist_steps
        return replace(self.anchors, max_steps=steps, image_size=0) if steps else self.anchors

    def _check_shortlist(self) -> None:
        config, table = self.verification, self.truth.short_table
        if not config.shortlist and (config.shortlist_steps or table is not None):
            raise InvalidConfigError(
                "verification.shortlist_steps and truth.short_table are of a "
                "verification.shortlist, which is 0"
            )
        if config.shortlist_steps and table is not None:
            raise InvalidConfigError(
                "verification.shortlist_steps must be 0 with truth.short_table, got "
                f"{config.shortlist_steps}"
            )
        if config.shortlist_steps >= self.training.max_steps and self.truth.table is None:
            raise InvalidConfigError(
                "verification.shortlist_steps must be below the training.max_steps of a full "
                f"training, {self.training.max_steps}, got {config.shortlist_steps}"
            )
        if config.shortlist and not (self.anchors.are_short or self.shortlist_is_its_own):
            raise InvalidConfigError(
                "verification.shortlist needs short trainings: verification.shortlist_steps, "
                "truth.short_table or anchors.max_steps must be set"
            )
        if self.shortlist_is_its_own and config.rounds > 1:
            raise InvalidConfigError(
                "verification.rounds must be 1 where a shortlist is trained otherwise than the "
                f"anchors, as the two do not calibrate one score, got {config.rounds}"
            )

    def _check_short_anchors(self) -> None:
        short, full = self.anchors.max_steps, self.training.max_steps
        if short >= full and not self.anchors.image_size and self.truth.table is None:
            raise InvalidConfigError(
                "anchors.max_steps must be 0, or below the training.max_steps of a full training, "
                f"{full}, got {short}"
            )
        if self.verification.rounds > 1 and not self.verification.shortlist:
            raise InvalidConfigError(
                "verification.rounds must be 1 with anchors.max_steps and no "
                "verification.shortlist, as short trainings and full ones do not calibrate one "
                f"score, got {self.verification.rounds}"
            )


def check_steps(proxy: ProxyConfig, gtn: GtnConfig) -> None:
    """Refuse a proxy of more steps than the generator has batches."""
    if proxy.n_steps is not None and proxy.n_steps > gtn.curriculum.n_steps:
        raise InvalidConfigError(
            f"proxy.n_steps must be at most gtn.curriculum.n_steps, {gtn.curriculum.n_steps}, "
            f"got {proxy.n_steps}"
        )
    n_steps = proxy.n_steps or gtn.curriculum.n_steps
    if max(proxy.rungs, default=0) > n_steps:
        raise InvalidConfigError(
            f"proxy.rungs must be at most {n_steps}, the steps of the proxy, got "
            f"{list(proxy.rungs)}"
        )


def pick_device(name: str) -> torch.device:
    """Find the device of that name on this machine; `auto` is CUDA where there is one.

    Raises:
        InvalidConfigError: There is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = torch.device("meta")
    n_devices = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.type not in ("cpu", "cuda") or (device.index or 0) >= n_devices:
        raise InvalidConfigError(
            f"device must be auto, cpu or a CUDA device of this machine "
            f"(it has {torch.cuda.device_count()}), got {name!r}"
        )
    return device


def config_from_mapping(values: Table) -> RunConfig:
    """Check nested tables of values, and fill in the defaults.

    Raises:
        UnknownNameError: There is no such setting.
        InvalidConfigError: A value is not what it must be.
    """
    return validated(RunConfig, values)


def read_config(path: Path, overrides: Table | None = None) -> RunConfig:
    """Read a TOML file, such as the `config.toml` of a run, and let `overrides` win.

    Raises:
        ArtefactError: The file cannot be read, or is no TOML.
        InvalidConfigError, UnknownNameError: As `config_from_mapping`.
    """
    values = {name: value for name, value in read_toml(path).items() if name not in FACTS}
    return config_from_mapping(_merged(values, overrides or {}))


def save_config(config: RunConfig, folder: Path, facts: Mapping[str, Table]) -> None:
    """Write the whole configuration, defaults included, and what was found when it was made."""
    write_text(folder / CONFIG, tomli_w.dumps({**config_tables(config), **facts}))


def config_tables(config: RunConfig) -> dict[str, Any]:
    """Write a configuration as nested tables, as they stand in TOML."""
    tables: dict[str, Any] = without_none(dataclasses.asdict(config))
    return tables


def versions() -> dict[str, str | int]:
    """Name the versions that a run's numbers depend on, and the layout of its folder."""
    return {
        "format": FORMAT,
        "nasgtn": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "optuna": version("optuna"),
    }


def environment(device: torch.device) -> dict[str, str]:
    """Describe the machine that a run's seconds depend on."""
    is_gpu = device.type == "cuda"
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "threads": str(torch.get_num_threads()),
        "device": torch.cuda.get_device_name(device) if is_gpu else str(device),
    }


def _merged(values: Table, overrides: Table) -> dict[str, Any]:
    """Set what is given inside of tables too; an empty table takes the place of another."""
    merged = dict(values)
    for name, value in overrides.items():
        inner = merged.get(name)
        both_tables = isinstance(value, Mapping) and value and isinstance(inner, Mapping)
        merged[name] = _merged(inner, value) if both_tables else value  # type: ignore[arg-type]
    return merged


def _processor() -> str:
    """Name the processor; where Linux keeps it, since Python knows the architecture at most."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
