import math
from collections import Counter

import optuna
import pytest

from nasgtn.errors import InvalidConfigError
from nasgtn.spaces import FixedTrial, RandomTrial, RecordingTrial, Trial


def ask_everything(trial: Trial) -> list[object]:
    return [
        trial.suggest_categorical("operation", ("conv", "pool")),
        trial.suggest_categorical("flag", (False, True)),
        trial.suggest_categorical("nothing", (None, 1)),
        trial.suggest_int("width", 8, 32, step=8),
        trial.suggest_int("units", 4, 256, log=True),
        trial.suggest_float("rate", 0.0, 1.0),
        trial.suggest_float("grid", 0.0, 1.0, step=0.25),
        trial.suggest_float("scale", 1e-3, 1.0, log=True),
    ]


def test_same_seed_makes_the_same_choices() -> None:
    answers = ask_everything(RandomTrial(3))
    assert answers == ask_everything(RandomTrial(3))
    assert answers != ask_everything(RandomTrial(4))


def test_integers_are_uniform_on_their_grid_and_include_both_ends() -> None:
    trial = RandomTrial(0)
    counts = Counter(trial.suggest_int("width", 8, 32, step=8) for _ in range(4000))
    assert set(counts) == {8, 16, 24, 32}
    assert all(abs(count - 1000) < 5 * math.sqrt(750) for count in counts.values())


def test_log_integers_are_log_uniform() -> None:
    trial = RandomTrial(0)
    drawn = [trial.suggest_int("units", 1, 1000, log=True) for _ in range(4000)]
    assert min(drawn) >= 1
    assert max(drawn) <= 1000
    expected = math.log(31.5 / 0.5) / math.log(1000.5 / 0.5)  # share of the draws in 1..31
    share = sum(value <= 31 for value in drawn) / len(drawn)
    assert share == pytest.approx(expected, abs=0.03)


def test_floats_stay_in_range_and_on_their_grid() -> None:
    trial = RandomTrial(0)
    for _ in range(200):
        assert 0.1 <= trial.suggest_float("rate", 0.1, 0.5) <= 0.5
        assert 1e-3 <= trial.suggest_float("scale", 1e-3, 1.0, log=True) <= 1.0
    grid = {trial.suggest_float("grid", 0.0, 0.3, step=0.1) for _ in range(200)}
    assert sorted(grid) == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_recorded_choices_repeat_the_answers() -> None:
    recording = RecordingTrial(RandomTrial(0))
    answers = ask_everything(recording)
    assert list(recording.choices.values()) == answers
    assert ask_everything(FixedTrial(recording.choices)) == answers


def test_an_optuna_trial_is_recorded_as_optuna_stores_it() -> None:
    trial = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0)).ask()
    recording = RecordingTrial(trial)
    ask_everything(recording)
    assert recording.choices == trial.params


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("operation", "norm", "must be one of"),
        ("flag", 1, "must be one of"),  # 1 == True, and yet is not the same choice
        ("width", 40, r"must be an integer in \[8, 32\], got 40"),
        ("width", 9, "must be 8 plus a multiple of 8, got 9"),
        ("width", 8.0, "must be an integer"),
        ("width", True, "must be an integer"),
        ("rate", 2.0, r"must be a number in \[0.0, 1.0\], got 2.0"),
        ("rate", "much", "must be a number"),
        ("rate", None, "must be a number"),
    ],
)
def test_choices_that_the_space_does_not_offer_are_an_error(
    name: str, value: str | float | None, message: str
) -> None:
    recording = RecordingTrial(RandomTrial(0))
    ask_everything(recording)
    with pytest.raises(InvalidConfigError, match=f"choice '{name}' {message}"):
        ask_everything(FixedTrial({**recording.choices, name: value}))


def test_a_missing_choice_is_an_error() -> None:
    with pytest.raises(InvalidConfigError, match=r"'width' is missing \(given: depth\)"):
        FixedTrial({"depth": 1}).suggest_int("width", 1, 2)
    with pytest.raises(InvalidConfigError, match=r"\(given: none\)"):
        FixedTrial({}).suggest_int("width", 1, 2)


def test_an_integer_is_a_real_number_too() -> None:
    assert FixedTrial({"rate": 1}).suggest_float("rate", 0.0, 1.0) == 1.0
