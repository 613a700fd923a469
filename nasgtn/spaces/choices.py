"""Who answers a search space's questions: the small `Trial` protocol, and answers to it.

An Optuna trial fits the protocol as it is.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Protocol, TypeVar, cast, overload, runtime_checkable

import numpy as np

from nasgtn.errors import InvalidConfigError

Choice = bool | int | float | str | None
Choices = Mapping[str, Choice]
T = TypeVar("T", bound=Choice)


@runtime_checkable
class Trial(Protocol):
    """The part of `optuna.trial.Trial` that a search space uses, with its very signatures.

    `suggest_categorical` chooses one of its choices.
    """

    @overload
    def suggest_categorical(self, name: str, choices: Sequence[None]) -> None: ...

    @overload
    def suggest_categorical(self, name: str, choices: Sequence[bool]) -> bool: ...

    @overload
    def suggest_categorical(self, name: str, choices: Sequence[int]) -> int: ...

    @overload
    def suggest_categorical(self, name: str, choices: Sequence[float]) -> float: ...

    @overload
    def suggest_categorical(self, name: str, choices: Sequence[str]) -> str: ...

    @overload
    def suggest_categorical(self, name: str, choices: Sequence[Choice]) -> Choice: ...

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        """Choose an integer in [low, high]."""

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        """Choose a real number in [low, high]."""


class RandomTrial:
    """Chooses uniformly, or log-uniformly where asked; the same seed makes the same choices."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def suggest_categorical(self, name: str, choices: Sequence[T]) -> T:
        return choices[int(self._rng.integers(len(choices)))]

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        if log:
            drawn = math.exp(self._rng.uniform(math.log(low - 0.5), math.log(high + 0.5)))
            return min(max(round(drawn), low), high)
        return low + step * int(self._rng.integers((high - low) // step + 1))

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        if log:
            return min(max(math.exp(self._rng.uniform(math.log(low), math.log(high))), low), high)
        if step is not None:
            return low + step * int(self._rng.integers(int((high - low) / step + 1e-9) + 1))
        return float(self._rng.uniform(low, high))


class FixedTrial:
    """Repeats known choices, to rebuild an architecture.

    Raises:
        InvalidConfigError: The space asks for a choice that is not among them, or that it does
            not offer: the choices belong to another space, or to another version of it.
    """

    def __init__(self, choices: Choices) -> None:
        self._choices = choices

    def suggest_categorical(self, name: str, choices: Sequence[T]) -> T:
        value = self._known(name)
        for choice in choices:
            if choice == value and isinstance(choice, bool) == isinstance(value, bool):
                return choice
        raise InvalidConfigError(f"choice {name!r} must be one of {list(choices)}, got {value!r}")

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        value = self._known(name)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidConfigError(
                f"choice {name!r} must be an integer in [{low}, {high}], got {value!r}"
            )
        if (value - low) % step:
            raise InvalidConfigError(
                f"choice {name!r} must be {low} plus a multiple of {step}, got {value!r}"
            )
        return value

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        value = self._known(name)
        if isinstance(value, bool | str) or value is None or not low <= value <= high:
            raise InvalidConfigError(
                f"choice {name!r} must be a number in [{low}, {high}], got {value!r}"
            )
        return float(value)

    def _known(self, name: str) -> Choice:
        if name not in self._choices:
            raise InvalidConfigError(
                f"choice {name!r} is missing (given: {', '.join(self._choices) or 'none'})"
            )
        return self._choices[name]


class RecordingTrial:
    """Passes every question on to another trial and remembers the answers in `choices`."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self.choices: dict[str, Choice] = {}

    def suggest_categorical(self, name: str, choices: Sequence[T]) -> T:
        value = cast(T, self._trial.suggest_categorical(name, choices))
        self.choices[name] = value
        return value

    def suggest_int(
        self, name: str, low: int, high: int, *, step: int = 1, log: bool = False
    ) -> int:
        value = self._trial.suggest_int(name, low, high, step=step, log=log)
        self.choices[name] = value
        return value

    def suggest_float(
        self, name: str, low: float, high: float, *, step: float | None = None, log: bool = False
    ) -> float:
        value = self._trial.suggest_float(name, low, high, step=step, log=log)
        self.choices[name] = value
        return value
