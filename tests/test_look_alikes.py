"""Generator and proxy work with look-alikes of the networks, everything else does not."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from command_line import QUICK, write_toy_archive
from safetensors.torch import load_file

from nasgtn.artefacts import GENERATOR_CONFIG, GENERATOR_WEIGHTS
from nasgtn.cli.main import run as command_line
from nasgtn.cli.settings import settings_of
from nasgtn.errors import InvalidSpaceError
from nasgtn.estimators import make_estimator
from nasgtn.evaluation import Evaluator, evaluate
from nasgtn.evaluation.proxy import GtnProxy, ProxyConfig, RealBudget, RealSteps
from nasgtn.gtn import GtnConfig, InnerLoopConfig, load_generator
from nasgtn.preparation import load
from nasgtn.records import Evaluation, read_records
from nasgtn.spaces import Choice, SearchSpace
from nasgtn.spaces.catalogue import find_space

DEEP_SPACE = '''"""Hidden layers, more of them or fewer; options that a proxy cannot have."""

from torch import nn


proxy_options = {"n_layers": 1}


def build(trial, task, *, n_layers=3, asks=False, ignores=False):
    width = 4 if ignores else trial.suggest_int("width", 4, 16, step=4)
    if asks:
        trial.suggest_categorical("more", (1, 2))
    layers = [nn.Flatten(), nn.Linear(task.n_channels * task.height * task.width, width)]
    for _ in range(n_layers):
        layers += [nn.ReLU(), nn.Linear(width, width)]
    return nn.Sequential(*layers, nn.Linear(width, task.n_classes))
'''


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("material")
    write_toy_archive(folder / "toy.npz")
    (folder / "deep.py").write_text(DEEP_SPACE)
    return folder


def given(material: Path, *settings: str) -> tuple[str, ...]:
    return (
        *("--dataset", str(material / "toy.npz"), "--space", str(material / "deep.py")),
        *(*QUICK, "--quiet", *(part for one in settings for part in ("--set", one))),
    )


@pytest.fixture(scope="module")
def run_folder(material: Path) -> Path:
    folder = material / "run"
    args = given(material, "gtn.image_size=6")
    few = ("--trials", "4", "--verify", "1", "--control", "1")
    assert command_line(["search", *args, *few, "--run", str(folder)]) == 0
    return folder


def assert_scored_by_look_alikes(
    records: Sequence[Evaluation], make: Callable[[SearchSpace], Evaluator], space: SearchSpace
) -> None:
    small, real = (make(space.with_options({"n_layers": n})) for n in (1, 3))
    for record in records:
        architecture = space.architecture(record.choices)
        assert record.score == evaluate(small, architecture, seed=record.seed).score
        assert record.score != evaluate(real, architecture, seed=record.seed).score


def test_proxy_and_real_steps_train_look_alikes(run_folder: Path) -> None:
    run = load(run_folder)
    trained = load_generator(run_folder, task=run.splits.task)
    assert trained.config.space_options == {"n_layers": 1}
    config = run.config.proxy.scored_by(trained.config.meta_training.rank_score)

    def proxy(space: SearchSpace) -> Evaluator:
        probe = run.splits.probe(config.n_images)
        return GtnProxy(
            space,
            run.splits.task,
            trained.synthesise(),
            probe,
            config,
            trained.config.inner_loop,
        )

    def real_steps(space: SearchSpace) -> Evaluator:
        curriculum, n_classes = trained.config.curriculum, run.splits.task.n_classes
        budget = RealBudget.like(curriculum, n_classes, None)
        small = run.splits.shrunk(trained.config.image_size)
        return RealSteps(space, small, budget, config, trained.config.inner_loop)

    scored = read_records(run_folder / "proxy.jsonl")
    baselines = read_records(run_folder / "baselines.jsonl")
    real = [one for one in baselines if one.evaluator.startswith("real:")]
    assert len(scored) == 4
    assert real
    assert_scored_by_look_alikes(scored, proxy, run.space)
    assert_scored_by_look_alikes(real, real_steps, run.space)


def test_a_comparison_compares_look_alikes(run_folder: Path) -> None:
    run = load(run_folder)
    config = ProxyConfig(metric="loss")
    made = make_estimator("real:4@0.1", run.space, run.splits, config, gtn=GtnConfig())
    (evaluator,) = made.settings.values()
    architectures = run.space.sample_distinct(2, 0, run.splits.task)
    records = [evaluate(evaluator, one, seed=3) for one in architectures]
    assert_scored_by_look_alikes(
        records,
        lambda space: RealSteps(
            space, run.splits, RealBudget(4, 64, None, 0.1), config, InnerLoopConfig()
        ),
        run.space,
    )


def test_a_comparison_keeps_what_was_made_with_other_look_alikes_apart(run_folder: Path) -> None:
    config, splits = load(run_folder).config, load(run_folder).splits
    tried: tuple[dict[str, Choice] | None, ...] = (None, {"n_layers": 1}, {"n_layers": 2}, {})
    settings = {
        str(options): settings_of(
            replace(config, gtn=replace(config.gtn, space_options=options)), None, splits
        )
        for options in tried
    }
    assert settings["None"] == settings["{'n_layers': 1}"] != settings["{'n_layers': 2}"]
    assert settings["{}"] not in (settings["None"], settings["{'n_layers': 2}"])


def test_a_generator_brings_its_look_alikes_along(
    material: Path, run_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few = ("--trials", "2", "--verify", "1", "--control", "0", "--generator", str(run_folder))
    own = given(material, "gtn.space_options.n_layers=2")
    assert command_line(["search", *own, *few, "--run", str(tmp_path / "run")]) == 0
    saved = load_generator(tmp_path / "run", task=load(run_folder).splits.task)
    assert saved.config.space_options == {"n_layers": 1}
    capsys.readouterr()
    other = ("--dataset", str(material / "toy.npz"), "--space", "mlp", "--quiet")
    assert command_line(["search", *other, *few, "--run", str(tmp_path / "other")]) == 1
    error = capsys.readouterr().err
    assert "must be usable with n_layers = 1, as the proxy has it" in error
    assert not (tmp_path / "other").exists()


def test_a_generator_that_knows_no_options_had_none(run_folder: Path, tmp_path: Path) -> None:
    task = load(run_folder).splits.task
    for name in (GENERATOR_CONFIG, GENERATOR_WEIGHTS):
        shutil.copy(run_folder / name, tmp_path)
    text = (tmp_path / GENERATOR_CONFIG).read_text()
    older = text.replace("[gtn.space_options]\nn_layers = 1\n", "")
    assert older != text
    (tmp_path / GENERATOR_CONFIG).write_text(older)
    assert load_generator(tmp_path, task=task).config.space_options == {}


def test_anchors_and_verified_are_real_networks(run_folder: Path) -> None:
    for one in read_records(run_folder / "verification.jsonl"):
        width = int(str(one.choices["width"]))
        n_parameters = 65 * width + 3 * (width + 1) * width + 3 * (width + 1)
        assert one.metrics["n_parameters"] == n_parameters
    files = [run_folder / "best" / "weights.safetensors", *run_folder.glob("anchors/*")]
    assert len(files) == 1 + 3
    for file in files:
        assert len(load_file(file)) == 2 * (1 + 3 + 1)


def test_what_the_user_sets_goes_before_what_the_space_proposes(material: Path) -> None:
    space = find_space(str(material / "deep.py"))
    assert space.options_of_proxy(None) == {"n_layers": 1}
    assert space.options_of_proxy({}) == {}
    assert space.options_of_proxy({"n_layers": 2}) == {"n_layers": 2}
    assert space.with_options({"n_layers": 5}).options_of_proxy(None) == {}


def test_options_that_are_no_table_are_refused(tmp_path: Path) -> None:
    (tmp_path / "odd.py").write_text("proxy_options = 3\nbuild = print\n")
    with pytest.raises(InvalidSpaceError, match="numbers, texts or truth values, got 3"):
        find_space(str(tmp_path / "odd.py"))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("n_layer=1", "did you mean n_layers"),
        ("asks=true", "choice 'more' is missing"),
        ("ignores=true", "must depend on all choices, but not on width"),
        ("n_layers=two", "must be usable with n_layers = two, as the proxy has it"),
    ],
)
@pytest.mark.parametrize("command", ["search", "train-generator", "compare"])
def test_options_without_look_alikes_are_refused_before_any_training(
    command: str,
    setting: str,
    message: str,
    material: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = {
        "search": ("--run",),
        "train-generator": ("--out",),
        "compare": ("--architectures", "4", "--estimators", "gtn", "--out"),
    }
    args = [command, *given(material, f"gtn.space_options.{setting}"), *out[command]]
    assert command_line([*args, str(tmp_path / "out")]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.rglob("*.jsonl"))
