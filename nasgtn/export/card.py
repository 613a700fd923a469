"""What an exported folder says about itself, in Markdown; text from outside is escaped."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from nasgtn.report.words import accuracy_interval, plural

FACTS = {
    "test_accuracy": "test accuracy",
    "verified_test_accuracy": "test accuracy that the verification measured",
    "rounded_test_accuracy": "test accuracy with the rounded weights",
    "validation_accuracy": "validation accuracy",
    "trained_on": "trained on",
    "n_epochs": "epochs",
    "n_steps": "steps",
    "seed": "seed",
    "n_parameters": "parameters",
    "n_multiply_adds": "multiply-adds of one image",
    "n_train": "training images",
    "n_validation": "validation images",
    "n_test": "test images",
    "run": "run",
    "dataset": "dataset",
    "nasgtn": "nasgtn",
    "torch": "torch",
}
"""Names of what is known about a network, in the order of the card."""
FILES = {
    "safetensors": "`weights.safetensors`: the weights, named as in the network's `state_dict`",
    "torch-export": "`model.pt2`, `classify_torch.py`: the whole network, and a script that runs "
    "it with torch alone",
    "onnx": "`model.onnx`, `classify_onnx.py`: the same for onnxruntime; input `pixels`, output "
    "`logits`",
}
_STEERING = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What steers a terminal, turns the direction of the text after it, or is no character at all."""


def network_card(model: Mapping[str, Any]) -> str:
    """Write the card of an exported network from its `model.json`."""
    task, facts = model["task"], model["facts"]
    dataset = escape(task["name"])
    return (
        "\n\n".join(
            [
                f"# An image classifier for {dataset}",
                f"Found by a neural architecture search (nasgtn), and trained on {dataset}.",
                *_accuracy(facts),
                "## Files",
                _list([*(FILES[name] for name in model["formats"]), *_other_files(model)]),
                *_scripts(model["formats"]),
                "## Preprocessing",
                _preprocessing(model),
                "## Classes",
                "Logits come in this order:",
                _table(("index", "class"), enumerate(task["class_names"])),
                "## Architecture",
                escape(model["description"]),
                _table(("choice", "value"), model["choices"].items()),
                "## Where it comes from",
                _table(("what", "value"), _known(facts)),
                "## Limits",
                "The accuracy is that on the test part of this dataset, and says nothing about "
                "other images. The test part chose neither architecture nor weights. Nobody has "
                "looked at fairness, safety or misuse.",
            ]
        )
        + "\n"
    )


def escape(value: object) -> str:
    r"""Write text from outside so that neither Markdown nor HTML sees more than text in it.

    >>> escape("<b>*1*</b>")
    '&lt;b&gt;\\*1\\*&lt;/b&gt;'
    """
    text = _STEERING.sub("", " ".join(str(value).split()))
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~:@^$])", r"\\\1", text)


def _accuracy(facts: Mapping[str, Any]) -> list[str]:
    accuracy, n_test = facts.get("test_accuracy"), facts.get("n_test")
    if accuracy is None:
        return []
    said = f"It classifies {_percent(accuracy)} of the test images correctly"
    if n_test:
        low, high = accuracy_interval(accuracy, n_test)
        said += f" (one training; with {n_test:,} test images, {_percent(low)} to {_percent(high)}"
        said += " is the 95 % interval)"
    said += "."
    if facts.get("verified_test_accuracy") is not None:
        said += (
            " These weights come from another training than the one of the verification, which "
            f"measured {_percent(facts['verified_test_accuracy'])}."
        )
    return [said]


def _other_files(model: Mapping[str, Any]) -> list[str]:
    files = [
        "`model.json`: all that this page says, for programs",
        "`choices.json`: the architecture, as choices of its search space",
    ]
    if model["space"].endswith(".py"):
        files.append("`search_space.py`: the search space, which builds networks from choices")
    return files


def _scripts(formats: Iterable[str]) -> list[str]:
    parts = []
    if "torch-export" in formats:
        parts.append(
            "```\npython classify_torch.py photo.png     # torch, and Pillow to read pictures\n```"
        )
    if "onnx" in formats:
        parts.append(
            "```\npython classify_onnx.py photo.png      # onnxruntime and numpy, and Pillow\n```"
        )
    if "torch-export" in formats:
        parts.append(
            "`model.pt2` holds no pickle, but `torch.export.load` would read one: load only files "
            "that you trust."
        )
    if "safetensors" in formats:
        parts.append(
            "To train it further, with nasgtn installed (images normalised as below, float32):"
        )
        parts.append(
            "```python\nfrom pathlib import Path\n\nfrom nasgtn.export import load_network\n\n"
            'network, task = load_network(Path("."))\n```'
        )
    return parts


def _preprocessing(model: Mapping[str, Any]) -> str:
    task, checked = model["task"], model["checked"]
    size = f"{task['width']} x {task['height']} pixels, {plural(task['n_channels'], 'channel')}"
    rows = [
        ("images", size),
        ("pixels", "float32 in [0, 1]; the graphs take these, and normalise them"),
        ("mean, per channel", ", ".join(map(str, task["mean"]))),
        ("deviation, per channel", ", ".join(map(str, task["std"]))),
        ("numbers inside", model["dtype"]),
    ]
    on = f"{checked['images']} real images" if checked["images"] else "random pixels"
    rows += [
        (f"largest difference of {name} from the trained network", f"{difference:.2g}, on {on}")
        for name, difference in checked["largest_difference"].items()
    ]
    return _table(("what", "value"), rows)


def _known(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        (label, _fact(name, facts[name]))
        for name, label in FACTS.items()
        if facts.get(name) is not None
    ]


def _fact(name: str, value: object) -> str:
    if name.endswith("accuracy") and isinstance(value, float):
        return _percent(value)
    if name.startswith("n_") and isinstance(value, int | float):
        return f"{value:,.0f}"
    return str(value)


def _percent(value: float) -> str:
    return f"{100 * value:.2f} %"


def _table(header: tuple[str, str], rows: Iterable[tuple[object, object]]) -> str:
    lines = [header, ("---", "---"), *((escape(one), escape(other)) for one, other in rows)]
    return "\n".join(f"| {one} | {other} |" for one, other in lines)


def _list(items: Iterable[str]) -> str:
    return "\n".join(f"- {item}" for item in items)
