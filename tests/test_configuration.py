import dataclasses
from pathlib import Path
from typing import Any, get_args

import pytest
import tomli_w

from nasgtn.configuration import (
    RunConfig,
    config_from_mapping,
    config_tables,
    environment,
    pick_device,
    read_config,
    save_config,
    versions,
)
from nasgtn.errors import ArtefactError, InvalidConfigError, NasgtnError, UnknownNameError
from nasgtn.facts import ENVIRONMENT, TASK, VERSIONS, read_facts

CHANGED = {
    "seed": 7,
    "device": "cpu",
    "data": {"name": "digits", "max_images": 300},
    "space": {"name": "mlp", "options": {"width": 3, "flat": True, "kind": "wide"}},
    "search": {"objectives": ["accuracy", "params"], "max_latency_ms": 2.5, "workers": 2},
    "verification": {"candidates": 3},
}


def facts() -> dict[str, dict[str, Any]]:
    return {
        VERSIONS: versions(),
        ENVIRONMENT: environment(pick_device("cpu")),
        TASK: {"name": "x"},
    }


@pytest.mark.parametrize("values", [{}, CHANGED])
def test_a_saved_configuration_reads_back_the_same(values: dict[str, Any], tmp_path: Path) -> None:
    config = config_from_mapping(values)
    save_config(config, tmp_path, facts())
    assert read_config(tmp_path / "config.toml") == config
    assert read_facts(tmp_path) == facts()


def none_fields(kind: type, place: str = "") -> list[str]:
    """Settings that may be None although their default is not: TOML could not hold that."""
    found = []
    for one in dataclasses.fields(kind):
        default = getattr(kind(), one.name)
        if dataclasses.is_dataclass(default):
            found += none_fields(type(default), f"{place}{one.name}.")
        elif type(None) in get_args(one.type) and default is not None:
            found.append(place + one.name)
    return found


def test_none_is_always_the_default_since_toml_cannot_hold_it() -> None:
    assert none_fields(RunConfig) == []


def test_the_file_holds_every_setting_that_is_not_none(tmp_path: Path) -> None:
    tables = config_tables(RunConfig())
    assert tables["search"]["trials"] == 48
    assert tables["space"] == {"name": "convnet", "options": {}}
    assert "storage" not in tables["search"]
    assert set(tables) == {one.name for one in dataclasses.fields(RunConfig)} - {"generator"}


def test_values_are_taken_as_they_stand_in_toml() -> None:
    config = config_from_mapping(CHANGED)
    assert config.search.objectives == ("accuracy", "params")
    assert config.space.options == {"width": 3, "flat": True, "kind": "wide"}
    assert [type(value) for value in config.space.options.values()] == [int, bool, str]


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"sede": 1}, UnknownNameError, "unknown setting 'sede'; did you mean seed?"),
        (
            {"search": {"trails": 3}},
            UnknownNameError,
            "'search.trails'; did you mean search.trial",
        ),
        ({"gtn": {"curriculum": {"steps": 3}}}, UnknownNameError, "'gtn.curriculum.steps'"),
        ({"search": {"trials": "many"}}, InvalidConfigError, "search.trials: .*, got 'many'"),
        ({"search": 3}, InvalidConfigError, "search: .*, got 3"),
        ({"search": {"sampler": "tpa"}}, UnknownNameError, "unknown sampler 'tpa'"),
        ({"search": {"trials": 0}}, InvalidConfigError, "trials must be at least 1, got 0"),
        ({"seed": -1}, InvalidConfigError, "seed must be at least 0, got -1"),
        ({"device": "tpu"}, InvalidConfigError, "device must be auto, cpu or .*, got 'tpu'"),
        ({"device": "cuda:99"}, InvalidConfigError, "device must be .*, got 'cuda:99'"),
        ({"space": {"options": {"a": [1]}}}, InvalidConfigError, "space.options.a.*"),
        ({"proxy": {"n_steps": 99}}, InvalidConfigError, "n_steps must be at most .*, got 99"),
        ({"search": {"prune": True}}, InvalidConfigError, "prune needs proxy.n_probes of at leas"),
        ({"proxy": {"rungs": [8, 4]}}, InvalidConfigError, r"rising numbers .*, got \[8, 4\]"),
        ({"proxy": {"rungs": [4, 99]}}, InvalidConfigError, "rungs must be at most 16, the steps"),
        ({"proxy": {"rungs": [4], "n_probes": 2}}, InvalidConfigError, "takes the place of"),
        ({"training": {"epochs": 0}}, InvalidConfigError, "epochs must be at least 1"),
        ({"verification": {"candidates": 0}}, InvalidConfigError, "candidates must be at least 1"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    values: dict[str, Any], error: type[NasgtnError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        config_from_mapping(values)
    assert "\n" not in str(caught.value)


def test_overrides_win_over_the_file_setting_by_setting(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(tomli_w.dumps(CHANGED))
    config = read_config(path, {"search": {"workers": 1}, "seed": 8})
    assert config.search == dataclasses.replace(config_from_mapping(CHANGED).search, workers=1)
    assert (config.seed, config.device) == (8, "cpu")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"mine\.toml cannot be read: No such file"),
        (b"seed = ", r"mine\.toml must be a TOML file: "),
        (b"seed = '\xff'", r"mine\.toml must be a TOML file: "),
    ],
)
def test_a_file_that_cannot_be_read_is_one_clear_line(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ArtefactError, match=message) as caught:
        read_config(path)
    assert "\n" not in str(caught.value)
