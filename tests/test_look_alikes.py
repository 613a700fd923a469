"""Generator and proxy work with look-alikes of the networks, everything else does not."""

from pathlib import Path

import pytest
from command_line import QUICK, write_toy_archive
from safetensors.torch import load_file

from nasgtn.cli.main import run as command_line
from nasgtn.errors import InvalidSpaceError
from nasgtn.evaluation import evaluate
from nasgtn.evaluation.proxy import GtnProxy
from nasgtn.gtn import load_generator
from nasgtn.preparation import load
from nasgtn.records import read_records
from nasgtn.spaces.catalogue import find_space

DEEP_SPACE = '''"""Hidden layers, more of them or fewer; a network of few may lack a choice."""

from torch import nn


proxy_options = {"n_layers": 1}


def build(trial, task, *, n_layers=3, asks=False):
    width = trial.suggest_int("width", 4, 16, step=4)
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


def test_the_proxy_scores_look_alikes(run_folder: Path) -> None:
    run = load(run_folder)
    trained = load_generator(run_folder, task=run.splits.task)
    assert trained.config.space_options == {"n_layers": 1}
    records = [one for one in read_records(run_folder / "proxy.jsonl") if one.score is not None]
    proxies = [
        GtnProxy(
            run.space.with_options({"n_layers": n_layers}),
            run.splits.task,
            trained.synthesise(),
            run.splits.probe(run.config.proxy.n_images),
            run.config.proxy.scored_by(trained.config.meta_training.rank_score),
            trained.config.inner_loop,
        )
        for n_layers in (1, 3)
    ]
    for record in records:
        architecture = run.space.architecture(record.choices)
        small, real = (evaluate(proxy, architecture, seed=record.seed) for proxy in proxies)
        assert record.score == small.score != real.score
    assert len(records) == 4


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
    with pytest.raises(InvalidSpaceError, match="must map names to values, got 3"):
        find_space(str(tmp_path / "odd.py"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (("gtn.space_options.n_layer=1",), "did you mean n_layers"),
        (("gtn.space_options.asks=true",), "must not depend on its options"),
        (("gtn.space_options.n_layers=two",), "deep"),
    ],
)
@pytest.mark.parametrize("command", ["search", "train-generator", "compare"])
def test_options_without_look_alikes_are_refused_before_any_training(
    command: str,
    settings: tuple[str, ...],
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
    args = [command, *given(material, *settings), *out[command], str(tmp_path / "out")]
    assert command_line(args) in (1, 2)
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert message in error
    assert not list(tmp_path.rglob("*.jsonl"))
