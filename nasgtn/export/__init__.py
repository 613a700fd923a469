"""Hands results on: trained networks, with or without nasgtn, and the synthetic data."""

from nasgtn.export.folder import whole_folder
from nasgtn.export.graphs import DTYPES
from nasgtn.export.network import (
    FORMATS,
    ONNX_PACKAGES,
    TrainedNetwork,
    export_network,
    load_network,
)
from nasgtn.export.synthetic import export_synthetic

__all__ = [
    "DTYPES",
    "FORMATS",
    "ONNX_PACKAGES",
    "TrainedNetwork",
    "export_network",
    "export_synthetic",
    "load_network",
    "whole_folder",
]
