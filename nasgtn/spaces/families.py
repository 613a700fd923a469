"""Families: the architectures of a space in which choices have given values.

A generator that was trained on one family of learners may teach others badly; so families can be
held out of its training, or looked at one by one.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from nasgtn.errors import InvalidConfigError, InvalidSpaceError, UnknownNameError
from nasgtn.randomness import derive_seed
from nasgtn.spaces.choices import Choice, Choices
from nasgtn.spaces.space import PART_DRAWS, SearchSpace
from nasgtn.task import Task

MAX_FAMILIES = 12
"""A choice of more values than that is no good way to divide a space."""


@dataclass(frozen=True)
class Family:
    """Architectures that have all of the given values; one that makes no such choice is outside.

    >>> family = Family.parse("norm=batch,depth=2")
    >>> family.holds({"norm": "batch", "depth": 2}), family.holds({"norm": "batch"})
    (True, False)
    """

    conditions: tuple[tuple[str, str], ...]
    """Names of choices, and their values as text."""

    @classmethod
    def parse(cls, text: str) -> "Family":
        """Read `choice=value`, or several of them joined by commas."""
        pairs = [part.partition("=") for part in text.split(",")]
        conditions = tuple((name.strip(), value.strip()) for name, _, value in pairs)
        names = [name for name, _ in conditions]
        if not all(name and value for name, value in conditions) or len({*names}) < len(names):
            raise InvalidConfigError(
                "a family must be CHOICE=VALUE[,CHOICE=VALUE], each choice named once, "
                f"got {text!r}"
            )
        return cls(conditions)

    def holds(self, choices: Choices) -> bool:
        return all(
            name in choices and value in _spellings(choices[name])
            for name, value in self.conditions
        )

    def __str__(self) -> str:
        return ",".join(f"{name}={value}" for name, value in self.conditions)


def only(space: SearchSpace, family: Family) -> SearchSpace:
    """Make the part of a space that is of a family; it still builds every architecture."""
    return part(space, f"with {family}", family.holds)


def without(space: SearchSpace, families: Sequence[Family]) -> SearchSpace:
    """Make the part of a space that is of none of the families."""
    return part(
        space,
        f"without {' or '.join(map(str, families))}",
        lambda choices: not any(family.holds(choices) for family in families),
    )


def hold_out(space: SearchSpace, families: Sequence[str], task: Task) -> SearchSpace:
    """Leave families out of a space, after a look at random architectures of it.

    Raises:
        UnknownNameError: The space has no such choice, or no such value of it.
        InvalidSpaceError: Nothing is left.
    """
    if not families:
        return space
    drawn = _draw(space, task)
    held_out = [Family.parse(text) for text in families]
    for family in held_out:
        for name, value in family.conditions:
            found = _values(space, drawn, name)
            if not any(value in _spellings(one) for one in found):
                raise UnknownNameError.of(f"value of choice {name!r}", value, map(_text, found))
    if all(any(family.holds(choices) for family in held_out) for choices in drawn):
        raise InvalidSpaceError(
            f"search space {space.name!r} must have architectures that are not held out, but "
            f"{len(drawn)} random ones are all of {' or '.join(map(str, held_out))}"
        )
    return without(space, held_out)


def families_by(space: SearchSpace, choice: str, task: Task) -> list[Family]:
    """Divide a space by the values of one choice, as they occur in random architectures.

    Raises:
        UnknownNameError: The space has no such choice.
        InvalidConfigError: It has one value alone, or too many.
    """
    values = _values(space, _draw(space, task), choice)
    if not 2 <= len(values) <= MAX_FAMILIES:
        raise InvalidConfigError(
            f"choice {choice!r} must have 2 to {MAX_FAMILIES} values to make families of, "
            f"got {len(values)}"
        )
    return [Family(((choice, _text(value)),)) for value in sorted(values, key=_order)]


def part(space: SearchSpace, words: str, accepts: Callable[[Choices], bool]) -> SearchSpace:
    """Make the part of a space whose choices are accepted; `words` end its name."""
    whole = space.accepts
    return replace(
        space,
        name=f"{space.name} {words}",
        accepts=lambda choices: accepts(choices) and (whole is None or whole(choices)),
    )


def _draw(space: SearchSpace, task: Task) -> list[Choices]:
    """Draw choices at random; an architecture that cannot be built costs its draw."""
    drawn: list[Choices] = []
    failure: InvalidSpaceError | None = None
    for draw in range(PART_DRAWS):
        try:
            drawn.append(space.sample(derive_seed(0, "families", draw), task).choices)
        except InvalidSpaceError as error:
            failure = failure or error
    if failure and not drawn:
        raise failure
    return drawn


def _values(space: SearchSpace, drawn: Iterable[Choices], name: str) -> set[Choice]:
    known = {choice for choices in drawn for choice in choices}
    if name not in known:
        raise UnknownNameError.of(f"choice of search space {space.name!r}", name, known)
    return {choices[name] for choices in drawn if name in choices}


def _text(value: Choice) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _spellings(value: Choice) -> tuple[str, str]:
    """Write a value as in a description (`True`), and as in TOML (`true`)."""
    return str(value), _text(value)


def _order(value: Choice) -> tuple[bool, float, str]:
    """Sort numbers by size, and text after them."""
    is_number = isinstance(value, int | float)
    return not is_number, float(value) if isinstance(value, int | float) else 0.0, _text(value)
