from typing import Any

import pytest

from nasgtn.errors import InvalidConfigError, NasgtnError, UnknownNameError
from nasgtn.search import SearchConfig


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"sampler": "tpa"}, UnknownNameError, "did you mean tpe"),
        ({"objectives": ("accuracy", "speed")}, UnknownNameError, "'speed'"),
        ({"objectives": ("params",)}, InvalidConfigError, "include accuracy, got params"),
        ({"objectives": ("accuracy", "accuracy")}, InvalidConfigError, "must be different"),
        ({"objectives": ()}, InvalidConfigError, "got none"),
        ({"pruner": "halve"}, UnknownNameError, "unknown pruner 'halve'; did you mean halving"),
        ({"gate": 1.0}, InvalidConfigError, r"gate must be in \[0, 1\), got 1.0"),
        ({"trials": 0}, InvalidConfigError, "trials must be at least 1, got 0"),
        ({"workers": 0}, InvalidConfigError, "workers must be at least 1, got 0"),
        ({"max_params": 0}, InvalidConfigError, "max_params must be positive, got 0"),
        ({"max_latency_ms": float("nan")}, InvalidConfigError, "must be positive, got nan"),
        (
            {"prune": True, "objectives": ("accuracy", "params")},
            InvalidConfigError,
            "prune needs a single objective, got accuracy, params",
        ),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    values: dict[str, Any], error: type[NasgtnError], message: str
) -> None:
    with pytest.raises(error, match=message) as caught:
        SearchConfig(**values)
    assert "\n" not in str(caught.value)


def test_each_objective_has_the_direction_that_makes_networks_better() -> None:
    config = SearchConfig(objectives=("accuracy", "latency", "flops", "params"))
    assert config.directions == ("maximize", "minimize", "minimize", "minimize")
    assert config.measures_latency
    assert not SearchConfig().measures_latency
