"""Classify pictures with the exported network; needs torch alone, and Pillow to read pictures.

    python classify_torch.py PICTURE...

Without pictures it classifies random pixels, to show that everything is in place.
"""

import json
import sys
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).resolve().parent


def main(paths: list[str]) -> None:
    """Print the likeliest class of each picture."""
    model = json.loads((FOLDER / "model.json").read_text(encoding="utf-8"))
    network = torch.export.load(FOLDER / "model.pt2").module()
    with torch.no_grad():
        probabilities = network(read_pixels(paths, model["task"])).softmax(dim=1)
    for name, row in zip(paths or ["random pixels"], probabilities, strict=True):
        best = int(row.argmax())
        print(f"{name}: {model['task']['class_names'][best]} ({row[best]:.1%})")


def read_pixels(paths: list[str], task: dict[str, Any]) -> torch.Tensor:
    """Read pictures as float32 pixels in [0, 1]: (pictures, channels, height, width)."""
    channels, height, width = task["n_channels"], task["height"], task["width"]
    if not paths:
        return torch.rand(1, channels, height, width)
    if channels not in (1, 3):
        sys.exit(f"pictures have 1 or 3 channels, and this network takes {channels}")
    from PIL import Image

    pictures = []
    for path in paths:
        with Image.open(path) as image:
            plain = image.convert("L" if channels == 1 else "RGB")
            small = plain.resize((width, height), Image.Resampling.BILINEAR)
        values = torch.frombuffer(bytearray(small.tobytes()), dtype=torch.uint8)
        pictures.append(values.view(height, width, channels).permute(2, 0, 1) / 255)
    return torch.stack(pictures)


if __name__ == "__main__":
    main(sys.argv[1:])
