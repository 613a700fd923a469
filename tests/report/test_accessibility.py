"""axe-core finds nothing on any page, in light and dark, and does find what is broken."""

import dataclasses
from pathlib import Path

import pytest
from accessibility import SCHEMES, violations
from audit_data import make_audit
from comparison_data import make_data
from run_data import make_foretold, make_run
from selenium import webdriver

from nasgtn.records import Evaluation
from nasgtn.report import RunData
from nasgtn.report.comparison import render_comparison
from nasgtn.report.page import render
from nasgtn.report.side_by_side import render_side_by_side

pytestmark = pytest.mark.slow


def make_full() -> RunData:
    """A run with something in every section."""
    data = make_foretold()
    return dataclasses.replace(data, audit=make_audit(), gaps=["a study of another search"])


def make_bare() -> RunData:
    """A run that has found nothing yet."""
    records: list[Evaluation] = []
    return dataclasses.replace(
        make_run(n_trials=0), proxy=records, meta_training=[], synthetic=None, costs={}
    )


PAGES = {
    "report": lambda: render(make_full()),
    "bare report": lambda: render(make_bare()),
    "comparison": lambda: render_comparison(make_data()),
    "runs": lambda: render_side_by_side([make_run(), make_run(seed=1)], "nasgtn report a b"),
}
BARE_IN_DARK = ("bare report", "dark")
"""Has no colours that the full one has not."""
CASES = [(page, scheme) for page in PAGES for scheme in SCHEMES if (page, scheme) != BARE_IN_DARK]


@pytest.mark.parametrize(("page", "scheme"), CASES)
def test_a_page_is_accessible(
    browser: webdriver.Chrome, tmp_path: Path, page: str, scheme: str
) -> None:
    path = tmp_path / "page.html"
    path.write_text(PAGES[page](), encoding="utf-8")
    assert violations(browser, path, scheme) == []


def test_what_is_broken_is_found(browser: webdriver.Chrome, tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    text = render_side_by_side([make_run(), make_run(seed=1)], "nasgtn report a b")
    path.write_text(text.replace("--soft: #57606a", "--soft: #c0c4c8"), encoding="utf-8")
    found = violations(browser, path, "light")
    assert [one.split(":")[0] for one in found] == ["color-contrast (serious)"]
