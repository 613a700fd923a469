"""One HTML file that shows a run: text, tables, figures; opens without a network.

`fill` writes the other pages too.
"""

import base64
import hashlib
import json
from collections.abc import Mapping
from importlib.resources import files
from typing import Any
from urllib.parse import quote

import plotly.graph_objects as go
import tomli_w
from jinja2 import Environment, FunctionLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from nasgtn.report import words
from nasgtn.report.audit import TITLES as AUDIT_TITLES
from nasgtn.report.audit import audit_values, draw_audit
from nasgtn.report.classes import shown_classes
from nasgtn.report.data import RunData
from nasgtn.report.drawing import network_drawing
from nasgtn.report.figures import TITLES, draw
from nasgtn.report.numbers import figure_csv, short
from nasgtn.report.picture import picture
from nasgtn.report.summary import Summary, summarise

_FOLDER = files("nasgtn.report")
_FILTERS = (
    words.percent,
    words.points,
    words.count,
    words.number,
    words.interval,
    words.accuracy_interval,
    words.duration,
    words.large,
    words.factor,
    words.shape,
    words.value,
    words.plural,
)
# Draws every figure from the JSON beside it; narrow paper gets figures that fit. Where a window
# changes its size, Plotly fits a figure to its box, so the box needs a height of its own. Once it
# is drawn, the drawing is the image, and the box is not: it holds buttons, which images cannot.
_DRAW = """
const buttons = [["toImage", "zoom2d", "resetScale2d"]];
const settings = {displaylogo: false, responsive: true, modeBarButtons: buttons};
const boxes = [...document.querySelectorAll("[data-figure]")];
for (const box of boxes) {
  const {data, layout} = JSON.parse(document.getElementById(box.dataset.figure).textContent);
  box.style.height = layout.height + "px";
  Plotly.newPlot(box, data, layout, settings);
  const [image, ...rest] = box.querySelectorAll(".main-svg");
  image.setAttribute("role", "img");
  image.setAttribute("aria-label", box.getAttribute("aria-label"));
  rest.forEach(layer => layer.setAttribute("aria-hidden", "true"));
  box.removeAttribute("role");
  box.removeAttribute("aria-label");
}
addEventListener("beforeprint", () => boxes.forEach(box => Plotly.relayout(box, {width: 640})));
addEventListener("afterprint", () => boxes.forEach(
  box => Plotly.relayout(box, {width: null, autosize: true})));
"""


def render(data: RunData, summary: Summary | None = None) -> str:
    """Write the report of a run; the same data give the same text.

    Args:
        data: Of the run.
        summary: Of `data`, where it is known already.
    """
    summary = summary or summarise(data)
    class_names = [str(name) for name in data.task.get("class_names", ())]
    curriculum = picture(*data.synthetic, class_names) if data.synthetic else None
    return fill(
        "page.html",
        {**draw(data, summary), **draw_audit(data.audit)},
        {**TITLES, **AUDIT_TITLES},
        data=data,
        summary=summary,
        proxy=summary.proxy,
        curriculum=curriculum,
        sheet=base64.b64encode(curriculum.png).decode() if curriculum else "",
        winner_in_words=words.winner_in_words(summary, data.task, data.table),
        table_in_words=words.table_in_words(data, summary),
        trust_in_words=words.trust_in_words(summary.proxy),
        cost_in_words=words.cost_in_words(summary.costs),
        choice_in_words=words.choice_in_words(data, summary),
        gains_in_words=[words.gain_in_words(one) for one in summary.gains],
        anchors_in_words=words.anchors_in_words(summary),
        foresight_in_words=words.foresight_in_words(summary.forecasts),
        front_in_words=words.front_in_words(summary.front) if summary.front else "",
        classes=[summary.classes[label] for label in shown_classes(summary.classes)],
        drawing=network_drawing(data.layers, data.task.get("input_shape", ())),
        search_in_words=words.search_in_words(data, summary),
        meta_training_in_words=words.meta_training_in_words(summary.counts),
        config=toml(data.config),
        **audit_values(data.audit),
    )


def fill(
    template: str, figures: Mapping[str, go.Figure], titles: Mapping[str, str], **values: object
) -> str:
    """Fill a template of this folder.

    Text from users is escaped, and a content security policy lets no script run but our own two.

    Args:
        template: Name of its file; it extends `base.html`.
        figures: Those that have something to show, by name.
        titles: Of all figures.
        values: What else the template names.
    """
    scripts = [get_plotlyjs(), _DRAW]
    environment = Environment(
        loader=FunctionLoader(lambda name: _FOLDER.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters.update({function.__name__: function for function in _FILTERS})
    return environment.get_template(template).render(
        figures={name: figure_json(figure) for name, figure in figures.items()},
        titles=titles,
        numbers={name: _inline(figure_csv(figure)) for name, figure in figures.items()},
        policy="; ".join(
            (
                "default-src 'none'",
                f"script-src {' '.join(_digest(script) for script in scripts)}",
                "style-src 'unsafe-inline'",
                "img-src data: blob:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        scripts=[Markup(script) for script in scripts],
        **values,
    )


def figure_json(figure: go.Figure) -> Markup:
    """Write a figure so that nothing in it ends the script element it stands in."""
    values = json.loads(figure.to_json(), parse_float=lambda text: short(float(text)))
    text = json.dumps({"data": values["data"], "layout": values["layout"]}, sort_keys=True)
    for character in "<>&":  # other than in strings they do not occur in JSON
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _inline(text: str) -> str:
    """Write a table as the address of itself."""
    return "data:text/csv;charset=utf-8," + quote(text, safe=",=:;/+()")  # shorter than base64


def _digest(script: str) -> str:
    """Name a script for the content security policy."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def toml(config: Mapping[str, Any]) -> str:  # nested TOML tables
    """Write a configuration as the file that it can be read from."""
    return tomli_w.dumps(_without_none(config))


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:  # nested TOML tables
    """TOML has no null: what is not set is left out."""
    return {
        key: _without_none(value) if isinstance(value, Mapping) else value
        for key, value in values.items()
        if value is not None
    }
