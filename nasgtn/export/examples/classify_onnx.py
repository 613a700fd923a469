"""Classify pictures with onnxruntime; needs numpy beside it, and Pillow to read pictures.

    python classify_onnx.py PICTURE...

Without pictures it classifies random pixels, to show that everything is in place.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime

FOLDER = Path(__file__).resolve().parent


def main(paths: list[str]) -> None:
    """Print the likeliest class of each picture."""
    model = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
    network = onnxruntime.InferenceSession(
        str(FOLDER / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    (logits,) = network.run(["logits"], {"pixels": read_pixels(paths, model["task"])})
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities = powers / powers.sum(axis=1, keepdims=True)
    for name, row in zip(paths or ["random pixels"], probabilities, strict=True):
        best = int(row.argmax())
        print(f"{name}: {model['task']['class_names'][best]} ({row[best]:.1%})")


def read_pixels(paths: list[str], task: dict[str, Any]) -> np.ndarray:
    """Read pictures as float32 pixels in [0, 1]: (pictures, channels, height, width)."""
    channels, height, width = task["n_channels"], task["height"], task["width"]
    if not paths:
        return np.random.default_rng().random((1, channels, height, width), dtype=np.float32)
    if channels not in (1, 3):
        sys.exit(f"pictures have 1 or 3 channels, and this network takes {channels}")
    from PIL import Image

    pictures = []
    for path in paths:
        with Image.open(path) as image:
            plain = image.convert("L" if channels == 1 else "RGB")
            small = plain.resize((width, height), Image.Resampling.BILINEAR)
        values = np.asarray(small, dtype=np.float32).reshape(height, width, channels)
        pictures.append(values.transpose(2, 0, 1) / np.float32(255))
    return np.stack(pictures)


if __name__ == "__main__":
    main(sys.argv[1:])
