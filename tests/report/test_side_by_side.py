"""Runs side by side: what differs, and whether it is more than noise."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from page_reader import HOSTILE, INLINE, Reader
from run_data import CONFIG, make_run
from selenium import webdriver

from nasgtn.report import RunData
from nasgtn.report.side_by_side import (
    difference,
    difference_in_words,
    entry,
    newcombe,
    render_side_by_side,
    settings_that_differ,
    welch,
)

COMMAND = "nasgtn report a b"


def make_named(name: str, accuracies: list[float]) -> RunData:
    """A run whose winner reaches these test accuracies, one a seed."""
    data = make_run(n_candidates=1, n_control=2)
    first, *others = data.verification
    records = [
        dataclasses.replace(first, seed=seed, score=accuracy)
        for seed, accuracy in enumerate(accuracies)
    ]
    return dataclasses.replace(data, name=name, verification=[*records, *others])


def test_welchs_interval_is_that_of_scipy() -> None:
    one, other = [0.95, 0.96, 0.97, 0.955], [0.93, 0.95, 0.91]
    expected = scipy.stats.ttest_ind(one, other, equal_var=False).confidence_interval(0.95)
    assert welch(one, other) == pytest.approx((expected.low, expected.high))
    assert welch([0.5, 0.5], [0.25, 0.25]) == (0.25, 0.25)


def test_newcombes_interval_is_that_of_his_paper() -> None:
    """Table II, example (a), method 10: 56 of 70 against 48 of 80."""
    assert newcombe((56 / 70, 70), (48 / 80, 80)) == pytest.approx((0.0524, 0.3339), abs=5e-5)


def test_newcombes_interval_covers_what_it_says() -> None:
    rng = np.random.default_rng(0)
    found = [
        newcombe((a / 300, 300), (b / 300, 300))
        for a, b in zip(rng.binomial(300, 0.9, 400), rng.binomial(300, 0.86, 400), strict=True)
    ]
    assert 0.92 < np.mean([low <= 0.04 <= high for low, high in found]) < 0.98


def test_the_noise_is_that_of_the_seeds_where_both_have_several() -> None:
    one = entry(make_named("one", [0.95, 0.951, 0.952]))
    other = entry(make_named("other", [0.94, 0.941, 0.942]))
    single = entry(make_named("single", [0.94]))
    found = difference(one, other)
    assert found is not None
    assert (found.noise, found.is_clear) == ("training seeds", True)
    assert found.value == pytest.approx(0.01)
    assert "one is 1.0" in difference_in_words(one, other)
    assert difference_in_words(one, other).endswith("more than the noise.")
    found = difference(one, single)
    assert found is not None
    assert (found.noise, found.is_clear) == ("test images", False)
    assert "cannot be told apart" in difference_in_words(single, one)


def test_the_interval_of_a_mean_over_seeds_is_students() -> None:
    accuracies = [0.95, 0.96, 0.97]
    expected = scipy.stats.ttest_1samp(accuracies, 0).confidence_interval(0.95)
    assert entry(make_named("one", accuracies)).interval == pytest.approx(tuple(expected))
    assert entry(make_named("wide", [0.2, 0.9])).interval == (0, 1)


def test_different_data_and_missing_winners_do_not_compare() -> None:
    one = entry(make_run())
    other = entry(dataclasses.replace(make_run(), task={**make_run().task, "name": "gtsrb"}))
    assert "different data" in difference_in_words(one, other)
    empty = entry(dataclasses.replace(make_run(), verification=[], baselines=[]))
    assert difference(one, empty) is None
    assert "no winner yet" in difference_in_words(one, empty)


def test_settings_that_differ_are_listed_and_no_others() -> None:
    other = dataclasses.replace(
        make_run(), config={**CONFIG, "seed": 1, "search": {**CONFIG["search"], "extra": True}}
    )
    assert settings_that_differ([make_run(), other]) == [
        ("search.extra", ["\N{EN DASH}", "True"]),
        ("seed", ["0", "1"]),
    ]


def test_the_page_shows_all_runs_and_is_the_same_every_time() -> None:
    runs = [make_named("first", [0.97]), make_named("second", [0.8])]
    page = render_side_by_side(runs, COMMAND)
    assert page == render_side_by_side(runs, COMMAND)
    text = " ".join(Reader(page).text.split())
    for part in ("2 runs side by side", "first", "second", "more than the noise", COMMAND):
        assert part in text
    assert "All settings are the same." in text


def failed(data: RunData) -> RunData:
    return dataclasses.replace(
        data,
        verification=[
            dataclasses.replace(r, score=None, failure="boom") for r in data.verification
        ],
    )


@pytest.mark.parametrize(
    "data",
    [
        dataclasses.replace(make_run(), verification=[], baselines=[]),
        make_run(n_trials=0),
        failed(make_run()),
        dataclasses.replace(make_run(), task={}, space={}, config={}, environment={}),
    ],
    ids=["unverified", "empty", "failed", "bare"],
)
def test_what_is_missing_is_said(data: RunData) -> None:
    text = Reader(render_side_by_side([make_run(), data], COMMAND)).text
    for word in ("NaN", "nan", "None", "Undefined", "inf "):
        assert word not in text


def test_text_of_users_is_never_markup() -> None:
    hostile = dataclasses.replace(
        make_run(),
        name=HOSTILE,
        task={**make_run().task, "name": HOSTILE},
        space={"name": HOSTILE},
        descriptions=dict.fromkeys(make_run().descriptions, HOSTILE),
        config={HOSTILE: HOSTILE},
    )
    page = Reader(render_side_by_side([hostile, make_run()], HOSTILE))
    assert page.all("img") == page.all("b") == []
    assert [kind for kind, _ in page.scripts].count(None) == 2
    assert all((one["href"] or "").startswith(INLINE) for one in page.all("a"))
    assert page.text.count(HOSTILE) > 8


def test_headings_are_in_order_and_tables_have_headers() -> None:
    page = Reader(render_side_by_side([make_run(), make_run(seed=1)], COMMAND))
    levels = [int(tag[1]) for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels == [1, *[2] * 6]
    assert all("scope" in tag for tag in page.all("th"))
    ids = [tag["id"] for _, tag in page.tags if "id" in tag]
    assert len(ids) == len(set(ids))


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 3840])
def test_it_opens_in_a_browser(browser: webdriver.Chrome, tmp_path: Path, width: int) -> None:
    path = tmp_path / "runs.html"
    runs = [make_run(), dataclasses.replace(make_run(seed=1), name="x" * 100)]
    path.write_text(render_side_by_side(runs, COMMAND), encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    assert browser.execute_script("return document.querySelectorAll('.main-svg').length") > 0
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
