import pytest
from command_line import Refused

from nasgtn.cli.options import overrides_of, parse_setting
from nasgtn.errors import InvalidConfigError


def test_options_become_keys_of_the_configuration() -> None:
    values = {
        "dataset": "photos/",
        "trials": 7,
        "objective": ("accuracy", "params"),
        "max_params": None,
        "seed": 0,
    }
    assert overrides_of(values) == {
        "data": {"name": "photos/"},
        "search": {"trials": 7, "objectives": ["accuracy", "params"]},
        "seed": 0,
    }


def test_verify_sets_a_control_of_the_same_size_unless_another_is_asked_for() -> None:
    assert overrides_of({"verify": 8})["verification"] == {"candidates": 8, "control": 8}
    both = overrides_of({"control": 2, "verify": 8})["verification"]
    assert both == {"candidates": 8, "control": 2}


def test_settings_are_toml_values() -> None:
    settings = (
        "search.trials=3",
        "data.flips=true",
        "search.objectives=['accuracy', 'params']",
        "training.learning_rate = 1e-3",
        "seed=4",
        "data.name=a=b.npz",
    )
    assert overrides_of({"settings": settings}) == {
        "search": {"trials": 3, "objectives": ["accuracy", "params"]},
        "data": {"flips": True, "name": "a=b.npz"},
        "training": {"learning_rate": 0.001},
        "seed": 4,
    }


@pytest.mark.parametrize("text", ["", "search.trials", "=3", "search..trials=3", ".trials=3"])
def test_a_setting_must_be_a_key_and_a_value(text: str) -> None:
    with pytest.raises(InvalidConfigError, match=r"must be SECTION\.KEY=VALUE"):
        parse_setting(text)


def test_a_value_is_no_table() -> None:
    with pytest.raises(InvalidConfigError, match="seed is no table"):
        overrides_of({"settings": ("seed=1", "seed.deeper=2")})


def test_unknown_keys_are_refused_with_near_names(refused: Refused) -> None:
    assert "trials" in refused("search", "--set", "search.trails=3", code=2)
    assert "search" in refused("search", "--set", "serach.trials=3", code=2)
    assert "trials" in refused("search", "--set", "search.trials=many", code=2)
