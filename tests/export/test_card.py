"""The card says what the folder holds, and text from outside stays text."""

from dataclasses import replace
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from nasgtn.export import TrainedNetwork, export_network
from nasgtn.export.card import escape, network_card

HOSTILE = [
    "<script>alert(1)</script>",
    "a | b",
    "*bold* _it_ `code` ~~no~~",
    "[link](javascript:alert(1))",
    "![image](x.png)",
    "# heading",
    "1. list",
    "&lt; &amp;",
    "line\nbreak\r\n\n- item",
    "https://example.org www.example.org @someone",
    "\\| \\<b>",
    "quote \" and ' too",
    "\N{HEBREW LETTER ALEF}\N{HEBREW LETTER BET} \N{GRINNING FACE}",
    "a\N{ZERO WIDTH JOINER}b",
]


def html(markdown: str) -> str:
    return str(
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .render(markdown)
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_shown_as_it_is(text: str) -> None:
    tokens = (
        MarkdownIt("commonmark", {"html": True})
        .enable(["table", "strikethrough"])
        .parse(f"| name |\n| --- |\n| {escape(text)} |\n")
    )
    inline = [token for token in tokens if token.type == "inline"]
    assert len(inline) == 2
    assert {child.type for child in inline[1].children or ()} <= {"text", "text_special"}
    shown = "".join(child.content for child in inline[1].children or ())
    assert shown == " ".join(text.split())


def test_what_steers_the_reader_is_dropped() -> None:
    assert escape("a\u202eb\x1b[31m\u2066c\ud800") == "ab\\[31mc"


def test_the_card_of_a_network_with_hostile_names_is_harmless(
    trained: TrainedNetwork, tmp_path: Path
) -> None:
    task = replace(trained.task, name=HOSTILE[0], class_names=tuple(HOSTILE[:3]))
    description = "<img src=x onerror=alert(1)>"
    hostile = replace(
        trained, task=task, architecture=replace(trained.architecture, description=description)
    )
    folder = export_network(hostile, tmp_path / "out")
    page = html((folder / "README.md").read_text(encoding="utf-8"))
    assert "<script" not in page
    assert "<img" not in page
    assert page.count("<tr>") == page.count("</tr>") > 8
    assert "a | b" in page


def test_the_card_says_accuracy_interval_preprocessing_and_classes(
    trained: TrainedNetwork, tmp_path: Path
) -> None:
    folder = export_network(trained, tmp_path / "out")
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "75.00 % of the test images" in card
    assert "61.22 % to 85.08 %" in card  # Wilson's interval of 36 of 48
    page = html(card)
    for name in ("left", "middle", "right", "8 x 8 pixels", "0.25", "width", "state_dict"):
        assert name in page


def test_a_training_that_is_another_than_the_verified_one_is_said_to_be() -> None:
    facts = {"test_accuracy": 0.9, "verified_test_accuracy": 0.8}
    task = {"name": "x", "width": 1, "height": 1, "n_channels": 1, "class_names": ["a", "b"]}
    model = {
        "task": {**task, "mean": [0.5], "std": [0.2]},
        "facts": facts,
        "formats": [],
        "space": "mlp",
        "choices": {},
        "description": "x",
        "dtype": "float32",
        "checked": {"images": 0, "largest_difference": {}},
    }
    card = network_card(model)
    assert "90.00 %" in card
    assert "These weights come from another training" in card
    assert "measured 80.00 %" in card
