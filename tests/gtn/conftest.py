"""A GTN small enough to train in a test."""

import pytest

from nasgtn.gtn import (
    CurriculumConfig,
    GeneratorConfig,
    GtnConfig,
    InnerLoopConfig,
    MetaTrainingConfig,
    WarmStartConfig,
)


@pytest.fixture(scope="session")
def small_gtn() -> GtnConfig:
    return GtnConfig(
        generator=GeneratorConfig(n_latents=8, hidden=32, channels=(8, 8)),
        curriculum=CurriculumConfig(n_steps=4, n_batches=0, batch_size=12),
        inner_loop=InnerLoopConfig(learning_rate=0.2),
        warm_start=WarmStartConfig(n_steps=60, batch_size=48, learning_rate=0.01),
        meta_training=MetaTrainingConfig(
            n_meta_steps=6, probe_every=2, n_images=48, save_every=2, max_skipped=3
        ),
    )
