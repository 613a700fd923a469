"""Search spaces: sets of architectures, and the networks built from them."""

from nasgtn.spaces.catalogue import BUILT_IN, find_space
from nasgtn.spaces.choices import Choice, Choices, FixedTrial, RandomTrial, RecordingTrial, Trial
from nasgtn.spaces.cost import (
    Cost,
    count_multiply_adds,
    count_parameters,
    measure_cost,
    measure_latency,
)
from nasgtn.spaces.families import Family, families_by, hold_out, only, part, without
from nasgtn.spaces.space import Architecture, SearchSpace

__all__ = [
    "BUILT_IN",
    "Architecture",
    "Choice",
    "Choices",
    "Cost",
    "Family",
    "FixedTrial",
    "RandomTrial",
    "RecordingTrial",
    "SearchSpace",
    "Trial",
    "count_multiply_adds",
    "count_parameters",
    "families_by",
    "find_space",
    "hold_out",
    "measure_cost",
    "measure_latency",
    "only",
    "part",
    "without",
]
