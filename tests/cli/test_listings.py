import csv
import gzip
import json
import platform
from importlib.metadata import version
from pathlib import Path

import pytest
import torch
from command_line import Nasgtn, Refused

BUILT_IN = {"convnet", "enas_micro", "mlp", "nasbench201", "nasbench_macro"}


def test_spaces_are_listed_for_people_and_as_json(nasgtn: Nasgtn) -> None:
    assert {row["name"] for row in json.loads(nasgtn("spaces", "--json").out)} == BUILT_IN
    text = nasgtn("spaces").out
    assert all(name in text for name in BUILT_IN)


def test_sampled_architectures_are_those_of_the_seed(nasgtn: Nasgtn) -> None:
    args = ("spaces", "show", "convnet", "--sample", 3, "--json")
    first, again = nasgtn(*args, "--seed", 7), nasgtn(*args, "--seed", 7)
    assert (first.code, first.err) == (0, "")
    assert first.out == again.out != nasgtn(*args, "--seed", 8).out
    shown = json.loads(first.out)
    assert shown["input_shape"] == [3, 32, 32]
    assert shown["n_classes"] == 10
    assert len(shown["architectures"]) == 3
    keys = {"architecture_id", "choices", "description", "n_parameters", "n_multiply_adds"}
    assert all(set(row) == keys for row in shown["architectures"])


def test_sizes_of_nasbench201_cells_are_those_of_the_published_table(
    nasgtn: Nasgtn, shared_data: Path
) -> None:
    with gzip.open(shared_data / "nasbench201_cifar10.csv.gz", "rt") as file:
        table = {row["arch_str"]: row for row in csv.DictReader(file)}
    outcome = nasgtn("spaces", "show", "nasbench201", "--sample", 2, "--seed", 1, "--json")
    for row in json.loads(outcome.out)["architectures"]:
        published = table[row["description"]]
        assert row["n_parameters"] == round(1e6 * float(published["params_m"]))


def test_architectures_are_built_for_the_dataset_that_is_asked_for(
    nasgtn: Nasgtn, toy_archive: Path, tiny_space_file: Path
) -> None:
    args = ("spaces", "show", tiny_space_file, "--dataset", toy_archive, "--sample", 2)
    shown = json.loads(nasgtn(*args, "--json").out)
    assert (shown["name"], shown["input_shape"], shown["n_classes"]) == ("tiny", [1, 8, 8], 3)
    for row in shown["architectures"]:
        width, pool = row["choices"]["width"], row["choices"]["pool"]
        assert row["n_parameters"] == (9 + 1) * width + (width * pool**2 + 1) * 3
        assert row["n_multiply_adds"] == 8 * 8 * 9 * width + width * pool**2 * 3
    text = nasgtn(*args).out
    assert "1x8x8, 3 classes" in text
    assert shown["architectures"][0]["architecture_id"] in text


def test_options_of_a_space_make_smaller_networks(nasgtn: Nasgtn) -> None:
    args = ("spaces", "show", "nasbench201", "--sample", 1, "--json")
    whole = json.loads(nasgtn(*args).out)["architectures"][0]
    small = json.loads(nasgtn(*args, "--set", "space.options.n_cells=1").out)["architectures"][0]
    assert whole["architecture_id"] == small["architecture_id"]
    assert whole["n_parameters"] > small["n_parameters"]


def test_unknown_spaces_and_options_are_refused(refused: Refused, tmp_path: Path) -> None:
    assert "did you mean convnet" in refused("spaces", "show", "convnets", code=2)
    assert "there is none" in refused("spaces", "show", tmp_path / "none.py", code=2)
    option = ("--set", "space.options.n_cell=1")
    assert "n_cells" in refused("spaces", "show", "nasbench201", *option, code=2)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        ("return 3", "must return an nn.Module, got int"),
        ("raise RuntimeError('no\\nway')", "raised RuntimeError: no way"),
        ("return nn.Flatten()", "must return logits of shape (batch, 10)"),
        ("return nn.Linear(3, 10)", "must map images of shape (3, 32, 32)"),
    ],
)
def test_a_broken_space_is_one_line(
    refused: Refused, tmp_path: Path, build: str, message: str
) -> None:
    path = tmp_path / "broken.py"
    path.write_text(f"from torch import nn\n\ndef build(trial, task):\n    {build}\n")
    assert message in refused("spaces", "show", path, code=1)


def test_datasets_are_listed_and_described(nasgtn: Nasgtn, toy_archive: Path) -> None:
    names = {row["name"] for row in json.loads(nasgtn("datasets", "--json").out)}
    assert {"digits", "FOLDER", "FILE.npz"} <= names
    assert "digits" in nasgtn("datasets").out
    shown = json.loads(nasgtn("datasets", "show", toy_archive, "--json").out)
    assert shown["input_shape"] == [1, 8, 8]
    assert shown["class_names"] == ["left", "middle", "right"]
    assert shown["n_train"] + shown["n_validation"] == 96
    assert shown["n_test"] == 48
    assert "1, 8, 8" in nasgtn("datasets", "show", toy_archive).out


def test_unusable_datasets_are_one_line(refused: Refused, tmp_path: Path) -> None:
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 cut short")
    (tmp_path / "empty").mkdir()
    refused("datasets", "show", broken, code=1)
    refused("datasets", "show", tmp_path / "empty", code=1)
    refused("datasets", "show", tmp_path / "none.npz", code=1)
    assert "digits" in refused("datasets", "show", "digit", code=2)


def test_env_tells_the_versions_that_are_installed(nasgtn: Nasgtn) -> None:
    told = json.loads(nasgtn("env", "--json").out)
    assert told["python"] == platform.python_version()
    assert told["packages"]["optuna"] == version("optuna")
    assert told["threads"] == torch.get_num_threads()
    assert told["device"] == ("cuda" if torch.cuda.is_available() else "cpu")
    assert set(told["extras"]) == {"onnx", "dashboard", "datasets", "torchvision"}
    assert version("torch") in nasgtn("env").out
