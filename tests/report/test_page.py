"""The page opens anywhere, says what is missing, and runs no text of a user."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from browser_logs import console, requests
from page_reader import HOSTILE, INLINE, Reader, check_structure
from run_data import make_run
from selenium import webdriver
from selenium.webdriver.support.wait import WebDriverWait

from nasgtn.report import RunData
from nasgtn.report.page import render


def make_hostile() -> RunData:
    data = make_run()
    failure = dataclasses.replace(data.proxy[0], score=None, failure=HOSTILE)
    return dataclasses.replace(
        data,
        name=HOSTILE,
        command=HOSTILE,
        config={HOSTILE: {"key": HOSTILE, "unset": None}},
        environment={HOSTILE: HOSTILE},
        task={**data.task, "name": HOSTILE, "class_names": [HOSTILE] * 10},
        space={"name": HOSTILE, "summary": HOSTILE},
        proxy=[*data.proxy, failure],
        descriptions=dict.fromkeys(data.descriptions, HOSTILE),
        importances={HOSTILE: 1.0},
        layers=[{"name": HOSTILE, "kind": HOSTILE, "output_shape": HOSTILE, "n_parameters": 1}],
        baselines=[
            dataclasses.replace(r, evaluator=r.evaluator + HOSTILE) for r in data.baselines
        ],
    )


@pytest.fixture(scope="module")
def page() -> Reader:
    return Reader(render(make_run()))


def test_the_same_data_give_the_same_bytes() -> None:
    assert render(make_run()) == render(make_run())


def test_it_starts_with_the_answer(page: Reader) -> None:
    text = " ".join(page.text.split())
    answer, after = text.split("The answer")[1].split("What was run")
    for part in ("The winner is", "of the test images correctly", "The control, 5 architectures"):
        assert part in answer
    for part in (
        "Spearman",
        "Spearman's rho of the fused score is",
        "95 % interval",
        "10 architectures",
        "train the generator",
        "pays from",
    ):
        assert part in answer
    assert "To run it again" in after


def test_every_figure_has_data_a_name_and_a_sentence(page: Reader) -> None:
    drawings = [tag for tag in page.all("div") if "data-figure" in tag]
    data = [json.loads(text) for kind, text in page.scripts if kind == "application/json"]
    assert len(drawings) == len(data) == len(page.all("figcaption")) == 16
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    assert all(figure["data"] and figure["layout"] for figure in data)


def test_every_figure_has_its_numbers_in_the_page(page: Reader) -> None:
    links = page.all("a")
    drawings = [tag for tag in page.all("div") if "data-figure" in tag]
    names = [(tag["data-figure"] or "").removeprefix("figure-") for tag in drawings]
    assert [link["download"] for link in links] == [f"{name}.csv" for name in names]
    for link in links:
        content = unquote((link["href"] or "").removeprefix(INLINE))
        assert content.startswith("series,")
        assert content.count("\n") > 1


def test_the_winner_has_a_drawing_and_its_classes(page: Reader) -> None:
    (drawing,) = page.all("svg")
    assert drawing["role"] == "img"
    assert drawing["aria-label"]
    text = " ".join(page.text.split())
    assert "Conv2d · BatchNorm2d" in text
    assert "03694.4 %81.9 % to 98.5 %1 (2)" in text  # cells of one row


def test_headings_are_in_order_and_tables_have_headers(page: Reader) -> None:
    check_structure(page)


def test_nothing_comes_from_a_network(page: Reader) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "img", "object")
        assert not {"src", "srcset"} & set(attributes)
        assert (attributes.get("href") or INLINE).startswith(INLINE)
    policy = page.all("meta")[1]["content"]
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")


def test_text_of_users_is_never_markup() -> None:
    page, plain = Reader(render(make_hostile())), Reader(render(make_run()))
    assert [kind for kind, _ in page.scripts].count(None) == 2
    assert page.all("img") == page.all("b")[len(plain.all("b")) :] == []
    assert len(page.all("script")) == len(plain.all("script"))
    assert page.text.count(HOSTILE) > 30
    for kind, text in page.scripts:
        if kind == "application/json":
            json.loads(text)
            assert "<" not in text


EMPTY: dict[str, Any] = {
    "proxy": [],
    "history": [],
    "verification": [],
    "baselines": [],
    "importances": {},
    "meta_training": [],
    "synthetic": None,
    "layers": [],
    "confusion": [],
    "costs": {},
    "learning_rates": [],
    "momenta": [],
    "task": {},
    "space": {},
    "config": {},
    "environment": {},
}


def failed(data: RunData) -> RunData:
    """Let every evaluation of a run fail."""
    change: dict[str, Any] = {"score": None, "failure": "RuntimeError: boom"}
    return dataclasses.replace(
        data,
        proxy=[dataclasses.replace(r, **change) for r in data.proxy],
        verification=[dataclasses.replace(r, **change) for r in data.verification],
        baselines=[dataclasses.replace(r, **change) for r in data.baselines],
        history=[{**t, "state": "failed", "score": None} for t in data.history],
    )


def constant(data: RunData) -> RunData:
    """Give every architecture the same proxy score."""
    return dataclasses.replace(
        data,
        baselines=[
            dataclasses.replace(r, score=0.5) if r.evaluator == "gtn" else r
            for r in data.baselines
        ],
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            dataclasses.replace(make_run(), verification=[], baselines=[]),
            ["nothing was verified", "Highest proxy scores", "Not enough verified architectures"],
        ),
        (make_run(n_candidates=1, n_control=0), ["Not enough verified architectures (1)"]),
        (make_run(n_candidates=1, n_control=1), ["The control, 1 architecture drawn at random"]),
        (make_run(n_candidates=0, n_control=2), ["No control was trained beside it"]),
        (constant(make_run()), ["there is no order to compare"]),
        (
            failed(make_run()),
            ["every training of the verification failed", "RuntimeError: boom", "No proxy score"],
        ),
        (
            dataclasses.replace(make_run(), **EMPTY),
            ["the search has no trials", "No evaluation failed", "images are not there"],
        ),
        (
            dataclasses.replace(
                make_run(),
                task={**make_run().task, "class_names": ["only"]},
                confusion=[(0, 0, 36)],
                synthetic=None,
            ),
            ["height, width), 1 class Parts", "only36100.0 %"],
        ),
        (
            dataclasses.replace(make_run(), costs={"meta_training": 1e6}),
            ["would have taken less", "candidates from which the generator pays;"],
        ),
    ],
    ids=[
        "unverified",
        "one",
        "two",
        "controls",
        "constant",
        "failed",
        "empty",
        "one class",
        "dear",
    ],
)
def test_what_is_missing_is_said(data: RunData, said: list[str]) -> None:
    text = " ".join(Reader(render(data)).text.split())
    for part in said:
        assert part in text
    for word in ("NaN", "nan", "None", "Undefined", "inf "):
        assert word not in text


def test_several_objectives_have_a_front() -> None:
    data = make_run()
    sizes = {
        record.architecture_id: len(record.choices) + n for n, record in enumerate(data.proxy)
    }
    history = [
        {**trial, "values": [trial["score"], sizes[trial["architecture_id"]]]}
        for trial in data.history
    ]
    search = {**data.config["search"], "objectives": ["accuracy", "params"]}
    config = {**data.config, "search": search}
    page = Reader(render(dataclasses.replace(data, history=history, config=config)))
    assert "on the Pareto front of accuracy, params; hypervolume 0." in page.text
    assert "figure-pareto" in {tag.get("data-figure") for tag in page.all("div")}


def test_objectives_without_a_scored_trial_have_no_front() -> None:
    data = make_run()
    search = {**data.config["search"], "objectives": ["accuracy", "params"]}
    unscored = [{**t, "state": "failed", "score": None, "values": None} for t in data.history]
    data = dataclasses.replace(data, history=unscored, config={**data.config, "search": search})
    assert "on the Pareto front" not in render(data)


def test_a_thousand_trials_and_classes_fit_into_six_megabytes() -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(1000), (3, 1))
    data = make_run(n_trials=1000, n_candidates=20, n_control=20)
    data = dataclasses.replace(
        data,
        task={**data.task, "class_names": [f"class {i}" for i in range(1000)]},
        confusion=[(label, 999 - label, 1 + label % 7) for label in range(1000)],
        synthetic=(rng.integers(0, 256, (3, 1000, 32, 32, 3), dtype=np.uint8), labels),
        meta_training=[
            {"meta_step": i, "meta_loss": rng.random(), "accuracy": rng.random()}
            for i in range(2000)
        ],
    )
    start = time.perf_counter()
    page = render(data)
    assert time.perf_counter() - start < 10
    assert len(page.encode()) < 6_000_000
    assert "The 40 of 1,000 classes of lowest accuracy" in page
    assert "The first 48 of 1000 classes" in page


def open_page(browser: webdriver.Chrome, path: Path, data: RunData, width: int) -> None:
    path.write_text(render(data), encoding="utf-8")
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    requests(browser)
    browser.get(path.as_uri())
    missing = "return document.querySelectorAll('[data-figure]:not(:has(.main-svg))').length"
    WebDriverWait(browser, 30).until(lambda _: browser.execute_script(missing) == 0)


@pytest.mark.slow
@pytest.mark.parametrize("width", [320, 1280, 3840])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_opens_in_a_browser(
    browser: webdriver.Chrome, tmp_path: Path, width: int, scheme: str
) -> None:
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    open_page(browser, tmp_path / "report.html", make_run(), width)
    assert console(browser) == []
    assert requests(browser) == []
    drawn = browser.execute_script(
        "return [...document.querySelectorAll('[data-figure]')].map("
        "box => [box.querySelectorAll('.main-svg').length > 0, box.scrollWidth])"
    )
    assert len(drawn) == 16
    assert all(has_svg and 200 < shown <= width for has_svg, shown in drawn)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(int(part) for part in paper[4:-1].split(",")) > 384) == (scheme == "light")


@pytest.mark.slow
def test_figures_keep_their_height_when_the_window_changes(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    open_page(browser, tmp_path / "report.html", make_run(), 1280)
    heights = "return [...document.querySelectorAll('.drawing')].map(box => box.offsetHeight)"
    widths = "return [...document.querySelectorAll('.main-svg')].map(svg => svg.clientWidth)"
    before = browser.execute_script(heights)
    assert min(before) > 200
    size = {"width": 500, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    WebDriverWait(browser, 20).until(lambda _: max(browser.execute_script(widths)) <= 500)
    assert browser.execute_script(heights) == before


@pytest.mark.slow
def test_a_hostile_run_executes_nothing(browser: webdriver.Chrome, tmp_path: Path) -> None:
    open_page(browser, tmp_path / "hostile.html", make_hostile(), 1280)
    assert console(browser) == []
    assert requests(browser) == []
    assert browser.execute_script("return window.hacked === undefined")
    assert browser.execute_script("return document.images.length") == 0


@pytest.mark.slow
def test_printing_keeps_the_figures_on_the_paper(
    browser: webdriver.Chrome, tmp_path: Path
) -> None:
    open_page(browser, tmp_path / "report.html", make_run(), 1280)
    widths = "return [...document.querySelectorAll('.main-svg')].map(svg => svg.clientWidth)"
    drawn = WebDriverWait(browser, 30)  # Plotly draws again when what it is at is done
    browser.execute_script("dispatchEvent(new Event('beforeprint'))")
    drawn.until(lambda _: max(browser.execute_script(widths)) <= 640)
    browser.execute_script("dispatchEvent(new Event('afterprint'))")
    drawn.until(lambda _: max(browser.execute_script(widths)) > 640)
    assert len(browser.execute_cdp_cmd("Page.printToPDF", {})["data"]) > 10_000
