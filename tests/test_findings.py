"""What an audit found is written and read whole, and said in words where something is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from audit_data import make_audit, make_class

from nasgtn.errors import ArtefactError
from nasgtn.findings import read_audit, write_audit


def test_an_audit_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_audit(tmp_path) is None
    audit = make_audit(make_class("</script>😀\u202e"), make_class("b", taught=None))
    assert write_audit(tmp_path, audit) == tmp_path / "audit.json"
    assert read_audit(tmp_path) == audit
    assert list(tmp_path.iterdir()) == [tmp_path / "audit.json"]


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", '{"classes": 3}', '{"other": 1}'])
def test_a_damaged_audit_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "audit.json").write_text(text)
    with pytest.raises(ArtefactError, match="nasgtn audit"):
        read_audit(tmp_path)


def test_a_value_of_the_wrong_kind_is_refused(tmp_path: Path) -> None:
    path = write_audit(tmp_path, make_audit())
    values = json.loads(path.read_text())
    values["classes"][0]["taught"] = "much"
    path.write_text(json.dumps(values))
    with pytest.raises(ArtefactError, match="taught"):
        read_audit(tmp_path)


def test_nothing_is_said_where_nothing_is_wrong() -> None:
    assert make_audit().warnings() == []


def test_the_class_that_loses_most_is_named_first() -> None:
    audit = make_audit(
        make_class("cat", taught=0.4), make_class("dog"), make_class("emu", taught=0.1)
    )
    (said,) = audit.warnings()
    assert said.startswith("Badly served: 'emu', 'cat'. ")
    assert "recognise 10 % of the images of 'emu', and 82 % after as many steps" in said
    assert audit.gap == pytest.approx(0.7)
    assert audit.gap_by_real == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"n_validation": 3},  # images
        {"loss_error": 0.25},  # networks
        {"taught_by_real": 0.5},  # real data do not serve it either
        {"n_validation": 0, "taught": None, "taught_by_real": None, "loss_error": None},
    ],
)
def test_chance_and_hard_classes_are_no_bad_service(changed: dict[str, float]) -> None:
    assert make_class("a", taught=0.4).is_badly_served
    assert not make_class("a", **{"taught": 0.4, **changed}).is_badly_served


def test_noise_is_said_to_be_noise() -> None:
    (said,) = replace(make_audit(), recognised=0.11).warnings()
    assert "noise" in said
    assert "puts 11 % of them into their class, and guessing would put 10 % there" in said


def test_copies_and_near_copies_are_told_apart() -> None:
    audit = make_audit()
    (copied,) = replace(
        audit, copying=replace(audit.copying, exact_share=0.5, close_share=0.6)
    ).warnings()
    assert "copies training data: 50 %" in copied
    (near,) = replace(audit, copying=replace(audit.copying, close_share=0.2)).warnings()
    assert "may repeat training data: 20 %" in near


def test_missing_and_equal_images_are_said() -> None:
    audit = make_audit(
        make_class("a", n_synthetic=40),
        make_class("b", n_synthetic=0, recognised=None, diversity=None),
        make_class("c", diversity=0.01),
    )
    rare, alike = audit.warnings()
    assert rare.endswith("synthetic images: 'b'.")
    assert alike.endswith("nearly the same: 'c'.")
    assert audit.imbalance is None
    assert make_audit(make_class("a"), make_class("b", n_synthetic=10)).imbalance == 2


def test_of_many_classes_the_first_are_named() -> None:
    (said,) = make_audit(*(make_class(f"{i}", taught=0.1) for i in range(1000))).warnings()
    assert "'4' and 995 more. " in said
    assert "'5'" not in said
