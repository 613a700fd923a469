"""What a user of nasgtn can do wrong, as exceptions with a one-line message.

The command line prints the message of a `NasgtnError` and exits with its `exit_code`; everything
else is a mistake of ours and shows its traceback.
"""

import difflib
from collections.abc import Iterable


class NasgtnError(Exception):
    """A problem that its message explains to the user: what must hold, and what came."""

    exit_code = 1


class InvalidConfigError(NasgtnError):
    """A setting is outside of what it may be."""

    exit_code = 2


class UnknownNameError(NasgtnError):
    """A name is not one of the known ones."""

    exit_code = 2

    @classmethod
    def of(cls, kind: str, name: str, known: Iterable[str]) -> "UnknownNameError":
        """Build the message: the unknown name, the nearest known ones, and all of them."""
        names = sorted(known)
        near = difflib.get_close_matches(name, names, n=2, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        return cls(f"unknown {kind} {name!r}{hint} (known: {', '.join(names)})")


class InvalidDataError(NasgtnError):
    """A dataset cannot be used: unreadable, of a wrong shape, or too small."""


class InvalidSpaceError(NasgtnError):
    """A search space cannot be used: it raises, or builds something that is no fitting network."""


class ArtefactError(NasgtnError):
    """A file of a run is missing, damaged, of another version, or made for something else."""


class DivergedError(NasgtnError):
    """Training left the finite numbers and cannot go on."""
