"""The page of a transfer matrix: how generators do on families they were not trained on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nasgtn.report.page import fill, toml


@dataclass(frozen=True, kw_only=True)
class TransferData:
    """Everything that the page shows, as plain data."""

    tables: Mapping[str, Sequence[Sequence[str]]]
    """By title; the first row of each holds the headers, the first column what taught."""
    dataset: str
    space: str
    by: str
    """The choice whose values make the families."""
    command: str
    """That reruns it."""
    config: Mapping[str, Any]  # nested tables of TOML values
    environment: Mapping[str, str]


def render_transfer(data: TransferData) -> str:
    """Write the page; the same data give the same text."""
    return fill("transfer.html", {}, {}, data=data, config=toml(data.config))
