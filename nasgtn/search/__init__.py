"""The search: Optuna proposes architectures, an evaluator scores them."""

from nasgtn.search.candidates import best_candidates, comparable
from nasgtn.search.config import OBJECTIVES, SAMPLERS, SearchConfig
from nasgtn.search.control import control_group
from nasgtn.search.fused import FusedScore, TrainingFree
from nasgtn.search.gate import Gate
from nasgtn.search.history import add_verified, history, importances
from nasgtn.search.loop import search
from nasgtn.search.objective import Problem, proxy_seed
from nasgtn.search.study import StudyPlace, check_storage, study_place

__all__ = [
    "OBJECTIVES",
    "SAMPLERS",
    "FusedScore",
    "Gate",
    "Problem",
    "SearchConfig",
    "StudyPlace",
    "TrainingFree",
    "add_verified",
    "best_candidates",
    "check_storage",
    "comparable",
    "control_group",
    "history",
    "importances",
    "proxy_seed",
    "search",
    "study_place",
]
