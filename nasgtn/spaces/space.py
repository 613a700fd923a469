"""SearchSpace: proposes architectures, names them, and builds their networks."""

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import nn

from nasgtn.errors import InvalidConfigError, InvalidSpaceError, NasgtnError, UnknownNameError
from nasgtn.randomness import derive_seed, seeded
from nasgtn.spaces.choices import Choice, Choices, FixedTrial, RandomTrial, RecordingTrial, Trial
from nasgtn.task import Task

DRAWS = 16
"""Random architectures that are tried before a space is given up."""
PART_DRAWS = 128
"""Random architectures of a whole space among which a part of it must have one."""


@dataclass(frozen=True)
class Architecture:
    """One point of a search space, as data."""

    id: str
    """Twelve hexadecimal digits; equal for architectures with the same canonical form."""
    choices: Choices
    description: str
    """How the space writes the architecture in one line."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """A set of architectures, defined by the function that builds their networks.

    A user's file defines `build`, and may define `canonical`, `describe`, `parse` and
    `proxy_options`.
    """

    name: str
    build: Callable[..., nn.Module]
    """`build(trial, task, **options)`: asks the trial for choices and returns a network that maps
    float32 images (batch, channels, height, width) to logits (batch, classes)."""
    canonical: Callable[[Choices], object] | None = None
    """Maps choices to a JSON-able value that is equal for equal networks."""
    describe: Callable[[Choices], str] | None = None
    parse: Callable[[str], Choices] | None = None
    """Reads what `describe` writes, where the space can."""
    options: Mapping[str, Choice] = field(default_factory=dict)
    """Keyword arguments of `build`: the same architectures, larger or smaller networks."""
    proxy_options: Mapping[str, Choice] = field(default_factory=dict)
    """Options that the proxy's networks have unless a user sets others: smaller look-alikes, which
    a few steps can tell apart."""
    summary: str = ""
    """First line of the space's documentation."""
    accepts: Callable[[Choices], bool] | None = None
    """Where given, the space is the part of a larger one that it samples from."""

    def with_options(self, options: Mapping[str, Choice]) -> "SearchSpace":
        """Make the same space with further options of `build`.

        Raises:
            InvalidConfigError: `build` does not take them.
        """
        self._check_options(options)
        return replace(self, options={**self.options, **options})

    def options_of_proxy(self, wanted: Mapping[str, Choice] | None) -> dict[str, Choice]:
        """Say which further options the proxy's networks have.

        Args:
            wanted: None: `proxy_options`, but for those that are set for all networks.
        """
        if wanted is not None:
            return dict(wanted)
        own = self.proxy_options.items()
        return {name: value for name, value in own if name not in self.options}

    def propose(self, trial: Trial, task: Task) -> Architecture:
        """Let `trial` choose an architecture.

        Raises:
            InvalidSpaceError: `build` raised, or returned no module.
        """
        recording = RecordingTrial(trial)
        with seeded(0):  # the network's weights are not wanted: leave the global generators alone
            self._build(recording, task)
        return self.architecture(recording.choices)

    def sample(self, seed: int, task: Task) -> Architecture:
        """Draw an architecture at random; the same seed draws the same one.

        Raises:
            InvalidSpaceError: As `propose`; or the space accepts none of `PART_DRAWS`.
        """
        for draw in range(PART_DRAWS):
            stream = derive_seed(seed, "part", draw) if draw else seed
            architecture = self.propose(RandomTrial(stream), task)
            if self.accepts is None or self.accepts(architecture.choices):
                return architecture
        raise InvalidSpaceError(
            f"search space {self.name!r} must have architectures, but {PART_DRAWS} random ones "
            "were not of it"
        )

    def sample_distinct(
        self, n: int, seed: int, task: Task, *, exclude: frozenset[str] = frozenset()
    ) -> list[Architecture]:
        """Draw up to `n` architectures with different ids, none of them in `exclude`.

        Fewer come back where the space is smaller than that (after 20 n + 100 draws). A draw that
        cannot be built is left out.

        Raises:
            InvalidSpaceError: None can be built; the message is that of the first one.
        """
        found: dict[str, Architecture] = {}
        failure: InvalidSpaceError | None = None
        for draw in range(20 * n + 100):
            if len(found) == n:
                break
            try:
                architecture = self.sample(derive_seed(seed, "architecture", draw), task)
            except InvalidSpaceError as error:
                failure = failure or error
                continue
            if architecture.id not in exclude:
                found.setdefault(architecture.id, architecture)
        if failure is not None and not found:
            raise failure
        return list(found.values())

    def architecture(self, choices: Choices) -> Architecture:
        """Name the architecture that these choices make."""
        try:
            form = self.canonical(choices) if self.canonical else dict(choices)
            text = json.dumps(form, sort_keys=True, allow_nan=False)
            description = self.describe(choices) if self.describe else _describe(choices)
        except NasgtnError:
            raise
        except Exception as error:
            raise InvalidSpaceError(
                f"search space {self.name!r} must name its architectures, but canonical or "
                f"describe raised {type(error).__name__}: {error}"
            ) from error
        digest = hashlib.sha256(text.encode()).hexdigest()[:12]
        return Architecture(id=digest, choices=dict(choices), description=description)

    def from_description(self, text: str) -> Architecture:
        """Read an architecture from its description.

        Raises:
            InvalidConfigError: The space cannot read descriptions, or not this one.
        """
        if self.parse is None:
            raise InvalidConfigError(
                f"search space {self.name!r} must define parse(description) to read "
                f"descriptions, got {text!r}"
            )
        try:
            choices = self.parse(text)
        except NasgtnError:
            raise
        except Exception as error:
            raise InvalidConfigError(
                f"search space {self.name!r} must be able to read the description {text!r}, "
                f"but its parse raised {type(error).__name__}: {error}"
            ) from error
        return self.architecture(choices)

    def network(self, choices: Choices, task: Task, *, seed: int) -> nn.Module:
        """Build the network of an architecture, its initial weights drawn from `seed`.

        Returns:
            A module on the CPU, in training mode.

        Raises:
            InvalidConfigError: The choices are not of this space.
            InvalidSpaceError: `build` raised, or returned no module.
        """
        with seeded(seed):
            return self._build(FixedTrial(choices), task).train()

    def check(self, task: Task, *, seed: int = 0) -> None:
        """Build random networks until one runs, to find a space's mistakes before a search.

        Raises:
            InvalidSpaceError: None of `DRAWS` can be built and run, or has outputs of the right
                shape; the message is that of the first one.
        """
        self.sample_network(seed, task)

    def runs(self, choices: Choices, task: Task) -> bool:
        """Say whether the network of these choices can be built and run for the task."""
        try:
            self._check_output(self.network(choices, task, seed=0), task, 0)
        except InvalidSpaceError:
            return False
        return True

    def sample_network(self, seed: int, task: Task) -> nn.Module:
        """Build the network of a random architecture: the first of `DRAWS` that runs.

        So an architecture that cannot be built or run costs a draw, and not the whole work.

        Returns:
            A module on the CPU, in training mode; nothing has run through it.

        Raises:
            InvalidSpaceError: None of them runs; the message is that of the first one.
        """
        failure: InvalidSpaceError | None = None
        for draw in range(DRAWS):
            stream = derive_seed(seed, "draw", draw) if draw else seed
            try:
                choices = self.sample(stream, task).choices
                self._check_output(self.network(choices, task, seed=stream), task, stream)
                return self.network(choices, task, seed=stream)
            except InvalidSpaceError as error:
                failure = failure or error
        assert failure is not None
        raise failure

    def _check_options(self, options: Mapping[str, Choice]) -> None:
        parameters = list(inspect.signature(self.build).parameters.values())
        if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            return
        known = [parameter.name for parameter in parameters[2:]]
        for option in options:
            if not known:
                raise InvalidConfigError(
                    f"search space {self.name!r} has no options, got {option!r}"
                )
            if option not in known:
                raise UnknownNameError.of(f"option of search space {self.name!r}", option, known)

    def _check_output(self, network: nn.Module, task: Task, seed: int) -> None:
        try:
            with torch.no_grad(), seeded(seed):
                output = network(torch.zeros(2, *task.input_shape))
        except Exception as error:
            raise InvalidSpaceError(
                f"networks of search space {self.name!r} must map images of shape "
                f"{task.input_shape} to logits, but raised {type(error).__name__}: {error}"
            ) from error
        shape = tuple(output.shape) if isinstance(output, torch.Tensor) else type(output).__name__
        if shape != (2, task.n_classes):
            raise InvalidSpaceError(
                f"networks of search space {self.name!r} must return logits of shape "
                f"(batch, {task.n_classes}), got {shape} for a batch of 2"
            )

    def _build(self, trial: Trial, task: Task) -> nn.Module:
        try:
            network = self.build(trial, task, **self.options)
        except NasgtnError:
            raise
        except Exception as error:
            raise InvalidSpaceError(
                f"build of search space {self.name!r} raised {type(error).__name__}: {error}"
            ) from error
        if not isinstance(network, nn.Module):
            raise InvalidSpaceError(
                f"build of search space {self.name!r} must return an nn.Module, "
                f"got {type(network).__name__}"
            )
        return network


def _describe(choices: Choices) -> str:
    return " ".join(f"{name}={value}" for name, value in choices.items())
