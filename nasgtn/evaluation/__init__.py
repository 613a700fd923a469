"""Evaluators: whatever scores an architecture."""

from nasgtn.evaluation.baselines import (
    ZERO_COST,
    GradNorm,
    MultiplyAdds,
    NasWot,
    Parameters,
    SynFlow,
)
from nasgtn.evaluation.evaluator import Evaluator, Named, Report, Scores, evaluate
from nasgtn.evaluation.ground_truth import TableTruth, TrainedTruth

__all__ = [
    "ZERO_COST",
    "Evaluator",
    "GradNorm",
    "MultiplyAdds",
    "Named",
    "NasWot",
    "Parameters",
    "Report",
    "Scores",
    "SynFlow",
    "TableTruth",
    "TrainedTruth",
    "evaluate",
]
