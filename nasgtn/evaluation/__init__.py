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
from nasgtn.evaluation.counting import Counting, mean_multiply_adds
from nasgtn.evaluation.evaluator import (
    Counted,
    Evaluator,
    Named,
    Report,
    Scores,
    evaluate,
)
from nasgtn.evaluation.ground_truth import TrainedTruth
from nasgtn.evaluation.kept import KeptEvaluations, check_settings
from nasgtn.evaluation.table import TableTruth
from nasgtn.evaluation.truth import ChargedTable, Truth, TruthConfig, make_truth

__all__ = [
    "ZERO_COST",
    "ChargedTable",
    "Counted",
    "Counting",
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
    "mean_multiply_adds",
]
