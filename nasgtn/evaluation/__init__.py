"""Evaluators: whatever scores an architecture."""

from nasgtn.evaluation.baselines import (
    ZERO_COST,
    GradNorm,
    MultiplyAdds,
    NasWot,
    Parameters,
    SynFlow,
)
from nasgtn.evaluation.best_tenth import best_tenth_of
from nasgtn.evaluation.evaluator import Evaluator, Named, Report, Scores, evaluate
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.evaluation.kept import KeptEvaluations, check_settings
from nasgtn.evaluation.table import TableTruth
from nasgtn.evaluation.truth import ChargedTable, Truth, TruthConfig, make_truth

__all__ = [
    "ZERO_COST",
    "ChargedTable",
    "Evaluator",
    "GradNorm",
    "KeptEvaluations",
    "MultiplyAdds",
    "Named",
    "NasWot",
    "Parameters",
    "Report",
    "Scores",
    "SynFlow",
    "TableTruth",
    "TrainedTruth",
    "Truth",
    "TruthConfig",
    "best_tenth_of",
    "check_settings",
    "evaluate",
    "make_truth",
]
