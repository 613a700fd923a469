"""The audit's part of a report: shown where it is there, its text escaped, short for any size."""

import base64
import dataclasses
import io
import json

import pytest
from audit_data import make_audit, make_class
from page_reader import HOSTILE, Reader
from PIL import Image
from run_data import make_run

from nasgtn.findings import Audit
from nasgtn.report.audit import MAX_CLASSES, audit_in_words, classes_figure, shown_classes
from nasgtn.report.page import render


def page_of(audit: Audit) -> Reader:
    return Reader(render(dataclasses.replace(make_run(), audit=audit)))


def test_a_run_without_an_audit_says_how_to_make_one() -> None:
    page = Reader(render(make_run()))
    assert "were not audited" in page.text
    assert page.all("img") == []


def test_an_audit_is_shown_with_figure_table_and_pairs() -> None:
    page = page_of(make_audit())
    text = " ".join(page.text.split())
    assert "Nothing to warn of." in text
    assert "After 16 steps on synthetic data, 8 random networks classify 80.0 %" in text
    for image in page.all("img"):
        assert (image["alt"] or "").startswith("Left: a synthetic image of")
        kind, _, content = (image["src"] or "").partition(",")
        assert kind == "data:image/png;base64"
        assert Image.open(io.BytesIO(base64.b64decode(content))).size == (16, 8)
    assert len(page.all("img")) == 3
    figures = [tag["data-figure"] for tag in page.all("div") if "data-figure" in tag]
    assert "figure-audit" in figures


def test_warnings_are_on_the_page_and_mark_the_row() -> None:
    page = page_of(make_audit(make_class("cat", taught=0.3), make_class("dog")))
    text = " ".join(page.text.split())
    assert "Warning. Badly served: 'cat'. " in text
    assert "Nothing to warn of" not in text
    assert "catbadly served2095.0 %30.0 %82.0 %" in text  # cells of one row
    assert "dogbadly" not in text


def test_hostile_class_names_stay_text() -> None:
    page = page_of(make_audit(make_class(HOSTILE, taught=0.1), make_class("b")))
    sources = {image["src"] for image in page.all("img")}
    assert all((source or "").startswith("data:image/png") for source in sources)
    kinds = [kind for kind, _ in page.scripts]
    assert kinds.count(None) == 2
    assert HOSTILE in page.text
    figures = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    assert "<script" not in json.dumps(figures)


def test_bars_are_the_shares() -> None:
    audit = make_audit(make_class("a", taught=0.25), make_class("a", recognised=None))
    taught, real, recognised = classes_figure(audit).data
    assert list(taught.x) == [0.25, 0.8]
    assert list(real.x) == [0.82, 0.82]
    assert list(recognised.x) == [0.95, None]
    assert list(taught.y) == [0, 1]  # places, as names may be equal


def test_of_many_classes_those_that_lose_most_are_shown() -> None:
    classes = [make_class(f"class {i}", taught=0.8 - 0.0005 * i) for i in range(1000)]
    shown = shown_classes(make_audit(*classes))
    assert shown == classes[-MAX_CLASSES:]
    assert f"The {MAX_CLASSES} of 1,000 classes" in page_of(make_audit(*classes)).text


def test_words_leave_out_what_is_not_known() -> None:
    empty = make_class("a", diversity=None, n_synthetic=0)
    audit = dataclasses.replace(make_audit(empty, make_class("b")), between=None)
    text = " ".join(audit_in_words(audit))
    assert "None" not in text
    assert "nan" not in text


@pytest.mark.parametrize("n_classes", [2, 10])
def test_the_same_audit_gives_the_same_bytes(n_classes: int) -> None:
    audits = [make_audit(*(make_class(str(i)) for i in range(n_classes))) for _ in range(2)]
    first, again = (render(dataclasses.replace(make_run(), audit=audit)) for audit in audits)
    assert first == again
