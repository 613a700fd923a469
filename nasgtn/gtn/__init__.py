"""The Generative Teaching Network: a generator whose synthetic batches teach fresh networks."""

from nasgtn.gtn.curriculum import VARIANTS, Curriculum, CurriculumConfig
from nasgtn.gtn.generator import Generator, GeneratorConfig
from nasgtn.gtn.gradients import soft_cross_entropy
from nasgtn.gtn.inner_loop import (
    SyntheticData,
    Unrolled,
    in_turn,
    steps,
    unroll,
)
from nasgtn.gtn.learner import Learner
from nasgtn.gtn.meta_training import MetaStep, MetaTraining, MetaTrainingConfig, Taught, teach
from nasgtn.gtn.optimisers import InnerLoopConfig
from nasgtn.gtn.protocol import ADAM, CHOICES, MUON, TrainingProtocol, choose_protocol, in_words
from nasgtn.gtn.scores import late_steps, soft_accuracy
from nasgtn.gtn.synthesis import Gtn, SynthesisConfig
from nasgtn.gtn.trained import GtnConfig, TrainedGenerator, load_generator, save_generator
from nasgtn.gtn.training import train_generator
from nasgtn.gtn.warm_start import WarmStartConfig, warm_start

__all__ = [
    "ADAM",
    "CHOICES",
    "MUON",
    "VARIANTS",
    "Curriculum",
    "CurriculumConfig",
    "Generator",
    "GeneratorConfig",
    "Gtn",
    "GtnConfig",
    "InnerLoopConfig",
    "Learner",
    "MetaStep",
    "MetaTraining",
    "MetaTrainingConfig",
    "SynthesisConfig",
    "SyntheticData",
    "Taught",
    "TrainedGenerator",
    "TrainingProtocol",
    "Unrolled",
    "WarmStartConfig",
    "choose_protocol",
    "in_turn",
    "in_words",
    "late_steps",
    "load_generator",
    "save_generator",
    "soft_accuracy",
    "soft_cross_entropy",
    "steps",
    "teach",
    "train_generator",
    "unroll",
    "warm_start",
]
