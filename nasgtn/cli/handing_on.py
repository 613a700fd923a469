"""What `nasgtn export` and `nasgtn dashboard` do: hand a run on."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file

from nasgtn.artefacts import BEST, BEST_CHOICES, BEST_WEIGHTS, CONFIG, JOURNAL, STUDY
from nasgtn.configuration import TASK, read_config, read_facts
from nasgtn.dashboard import publish, serve
from nasgtn.errors import ArtefactError
from nasgtn.export import TrainedNetwork, export_network
from nasgtn.gtn import load_generator
from nasgtn.runs import run_data, task_of
from nasgtn.search import study_place
from nasgtn.spaces.catalogue import find_space

ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def export_winner(run: Path, destination: Path) -> bool:
    """Write the winner of a run, and its synthetic training set, into a new folder.

    Returns:
        Whether ONNX is among it: it is where the extra `onnx` is installed.

    Raises:
        ArtefactError: The run has no winner yet, or the destination exists.
    """
    winner = load_winner(run)
    has_onnx = all(importlib.util.find_spec(package) for package in ONNX_PACKAGES)
    synthetic = load_generator(run, task=winner.task).synthesise()
    export_network(winner, destination, synthetic=synthetic, onnx=has_onnx)
    return has_onnx


def open_dashboard(run: Path, port: int, *, ready: Callable[[str], object]) -> None:
    """Serve a run's studies until Ctrl-C; `ready` is told the address.

    What is added for the dashboard is in `RUN/dashboard`.
    """
    config = read_config(run / CONFIG)
    data = run_data(run)
    place = study_place(config.search, run, file=STUDY, journal=JOURNAL)
    publish(place, data, run, run / "dashboard")
    serve(place, run / "dashboard", port=port, ready=ready)


def load_winner(run: Path) -> TrainedNetwork:
    """Rebuild the winner of a run with its trained weights."""
    task, config = task_of(read_facts(run)[TASK]), read_config(run / CONFIG)
    choices, weights = run / BEST / BEST_CHOICES, run / BEST / BEST_WEIGHTS
    if not choices.exists() or not weights.exists():
        raise ArtefactError(
            f"{run} must have a verified winner, but {BEST}/ has none; try nasgtn resume {run}"
        )
    space = find_space(config.space.name, config.space.options)
    try:
        facts = json.loads(choices.read_text(encoding="utf-8"))
        network = space.network(facts["choices"], task, seed=0)
        network.load_state_dict(load_file(weights))
    except (ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise ArtefactError(
            f"{run / BEST} must hold the winner of the run, but: {error}"
        ) from error
    return TrainedNetwork(
        network=network,
        architecture=space.architecture(facts.pop("choices")),
        task=task,
        space=config.space.name,
        space_options=config.space.options,
        facts=facts,
    )
