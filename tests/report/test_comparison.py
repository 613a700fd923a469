"""The page of a comparison says what its numbers say, to everybody, and runs no text of a user."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from comparison_data import NOISE, SECONDS, make_data, make_rows
from page_reader import HOSTILE, INLINE, Reader, check_structure
from selenium import webdriver

from nasgtn.estimates import Estimate
from nasgtn.report.comparison import (
    ComparisonData,
    answer_in_words,
    render_comparison,
    scatter_figure,
)
from nasgtn.report.evidence import MULTIPLY_ADDS, quality_figure


@pytest.fixture(scope="module")
def page() -> Reader:
    return Reader(render_comparison(make_data()))


def test_the_same_data_give_the_same_bytes() -> None:
    assert render_comparison(make_data()) == render_comparison(make_data())


def test_error_bars_end_at_the_interval_and_the_truth_is_marked() -> None:
    rows = make_rows()
    figure = quality_figure(rows, 42.0)
    assert figure is not None
    trace = figure.data[0]
    assert list(trace.text) == list(NOISE)
    for index, row in enumerate(rows):
        found = row.agreement
        assert found.spearman_interval is not None
        assert trace.x[index] == pytest.approx(SECONDS[row.name])
        assert trace.y[index] == found.spearman
        low, high = found.spearman_interval
        assert trace.y[index] - trace.error_y.arrayminus[index] == pytest.approx(low)
        assert trace.y[index] + trace.error_y.array[index] == pytest.approx(high)
        assert figure.layout.yaxis.range[0] <= low
    assert [shape.x0 for shape in figure.layout.shapes] == [42.0]
    left, right = figure.layout.xaxis.range
    assert 10**left < 0.01 < 42 < 10**right
    looked_up = quality_figure(rows, None)
    assert looked_up is not None
    assert not looked_up.layout.shapes


def test_costs_are_drawn_in_multiply_adds_too() -> None:
    *rows, free = (
        dataclasses.replace(row, multiply_adds_per_candidate=cost)
        for row, cost in zip(make_rows(), (2e9, 3e9, 5e6, 0.0), strict=True)
    )
    figure = quality_figure([*rows, free], None, MULTIPLY_ADDS)
    assert figure is not None
    assert list(figure.data[0].x) == [2e9, 3e9, 5e6]
    page = render_comparison(make_data((*rows, free)))
    assert 'id="figure-multiply-adds"' in page
    for text in ("2\N{NO-BREAK SPACE}G", "3\N{NO-BREAK SPACE}G", "5\N{NO-BREAK SPACE}M"):
        assert f"<small>{text}</small>" in page
    assert 'id="figure-multiply-adds"' not in render_comparison(make_data())


def test_generators_of_one_kind_share_a_colour_and_a_label() -> None:
    names = ("gtn, generator 0", "gtn, generator 1", "fused, generator 0", "fused without gtn")
    rows = [
        dataclasses.replace(row, name=name) for row, name in zip(make_rows(), names, strict=True)
    ]
    figure = quality_figure(rows, None)
    assert figure is not None
    trace = figure.data[0]
    assert list(trace.text) == ["gtn", "", "fused", "fused without gtn"]
    first, second, fused, without = trace.marker.color
    assert first == second
    assert len({first, fused, without}) == 3


def test_scatter_has_a_point_for_each_architecture() -> None:
    row = make_rows()[0]
    trace = scatter_figure(row, is_accuracy=True).data[0]
    assert list(zip(trace.text, trace.x, trace.y, strict=True)) == list(row.points)


def test_every_estimator_has_a_row_with_all_its_numbers() -> None:
    page = render_comparison(make_data())
    head = page[page.index("<thead>") : page.index("</thead>")]
    headers = re.findall(r"<th [^>]*>([^<]*)</th>", head)
    assert headers[2:7] == ["Spearman", "Kendall", "Best half", "Best tenth", "After size"]
    assert headers[7:] == ["Top 5 found", "Regret", "Per candidate", "Before"]
    for row in make_rows():
        start = page.index(f'<th scope="row">{row.name}')
        cells = page[start : page.index("</tr>", start)].split("<td")
        assert len(cells) == len(headers)
        found = row.agreement
        for cell, rho, bounds in (
            (cells[2], found.spearman, found.spearman_interval),
            (cells[3], found.kendall, found.kendall_interval),
            (cells[4], found.best_half, found.best_half_interval),
            (cells[4], found.best_half_kendall, found.best_half_kendall_interval),
            (cells[5], found.best_tenth, found.best_tenth_interval),
            (cells[6], row.partial, None),
        ):
            for number in (rho, *(bounds or ())):
                assert number is not None
                assert f"{number:.2f}".replace("-", "\N{MINUS SIGN}") in cell
        assert (row.setting or "") in cells[0]
        assert ("21" in cells[10]) == (row.setting is not None)


def test_it_says_how_to_run_it_again(page: Reader) -> None:
    assert "nasgtn compare --estimators gtn" in page.text
    assert 'name = "digits"' in page.text


def test_answer_names_the_best_and_those_it_cannot_be_told_from() -> None:
    gtn, real, params, naswot = make_rows()
    said = answer_in_words([gtn, real, params, naswot])
    assert said.startswith("gtn has the highest Spearman correlation with the truth, 0.86")
    low, _ = gtn.agreement.spearman_interval or (None, None)
    assert low is not None
    rhos = {row.name: row.agreement.spearman or 0.0 for row in (real, params, naswot)}
    for name, rho in rhos.items():
        assert (name in said) == (rho >= low)
    few = make_rows(2)
    assert answer_in_words(few) == answer_in_words([])
    assert "No estimator has an order" in answer_in_words([])


def test_a_table_has_a_unit_of_its_own() -> None:
    text = Reader(render_comparison(make_data(table="table.csv:accuracy"))).text
    assert "looked up in the table table.csv:accuracy" in text
    assert "points" not in text.split("The estimators")[1].split("Scores and truth")[0].replace(
        "Each point", ""
    )


@pytest.mark.parametrize("rows", [(), make_rows(2)], ids=["none", "two"])
def test_what_is_missing_is_said(rows: tuple[Estimate, ...]) -> None:
    text = Reader(render_comparison(make_data(rows))).text
    assert "No estimator has an order to compare" in text
    for word in ("NaN", "nan", "None", "Undefined", "inf "):
        assert word not in text


def test_a_screen_reader_finds_headings_figures_and_headers(page: Reader) -> None:
    ids = check_structure(page)
    drawings = [tag for tag in page.all("div") if "data-figure" in tag]
    assert len(drawings) == len(page.all("figcaption")) == 1 + len(NOISE)
    assert all(drawing["role"] == "img" and drawing["aria-label"] for drawing in drawings)
    assert {tag["data-figure"] for tag in drawings} <= set(ids)


def test_nothing_comes_from_a_network(page: Reader) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("link", "iframe", "img", "object")
        assert not {"src", "srcset"} & set(attributes)
        assert (attributes.get("href") or INLINE).startswith(INLINE)


def make_hostile() -> ComparisonData:
    rows = tuple(
        dataclasses.replace(
            row,
            name=row.name + HOSTILE,
            setting=HOSTILE,
            points=tuple(point._replace(description=HOSTILE) for point in row.points),
        )
        for row in make_rows()
    )
    return dataclasses.replace(
        make_data(rows),
        dataset=HOSTILE,
        space=HOSTILE,
        table=HOSTILE,
        command=HOSTILE,
        config={HOSTILE: HOSTILE},
        environment={HOSTILE: HOSTILE},
    )


def test_text_of_users_is_never_markup() -> None:
    page, plain = Reader(render_comparison(make_hostile())), Reader(render_comparison(make_data()))
    assert page.all("img") == page.all("b") == []
    assert len(page.all("script")) == len(plain.all("script"))
    assert page.text.count(HOSTILE) > 10
    for kind, text in page.scripts:
        if kind == "application/json":
            json.loads(text)
            assert "<" not in text


@pytest.mark.slow
@pytest.mark.parametrize("data", [make_data(), make_hostile()], ids=["plain", "hostile"])
def test_it_opens_in_a_browser(
    browser: webdriver.Chrome, tmp_path: Path, data: ComparisonData
) -> None:
    path = tmp_path / "comparison.html"
    path.write_text(render_comparison(data), encoding="utf-8")
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(path.as_uri())
    assert browser.get_log("browser") == []  # type: ignore[no-untyped-call]
    drawn = "return document.querySelectorAll('.drawing .main-svg').length"
    assert browser.execute_script(drawn) >= 1 + len(NOISE)
    assert browser.execute_script("return window.hacked === undefined")
