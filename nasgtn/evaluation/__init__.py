"""Evaluators: whatever scores an architecture."""

from nasgtn.evaluation.evaluator import Evaluator, Report, Scores, evaluate

__all__ = ["Evaluator", "Report", "Scores", "evaluate"]
