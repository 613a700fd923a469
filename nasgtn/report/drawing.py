"""The winner's network as a drawing: a box a layer from top to bottom, lines where data go."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from nasgtn.report.words import count, shape

WIDTH, HEIGHT, GAP = 400, 44, 18
LEFT, LANE = 8, 12
"""Space beside the boxes, and between the lines that pass some of them by."""
MAX_LANES = 10
MAX_TEXT = 52
IMAGE = -1
"""Place of the image itself among the inputs of a layer."""


@dataclass(kw_only=True)
class Box:
    """A layer, with those that follow it and only change its numbers one by one."""

    name: str
    kinds: list[str]
    output_shape: Any  # list of sizes, as in RunData.layers
    n_parameters: int
    inputs: set[int] = field(default_factory=set)
    """Places of other boxes; 0 is the image."""


def network_drawing(layers: Sequence[Mapping[str, Any]], image_shape: Sequence[int]) -> Markup:
    """Draw the layers of a network as SVG; nothing where there are none.

    Args:
        layers: As in `RunData.layers`, in the order of their calls.
        image_shape: Channels, height, width of what goes in.
    """
    if not layers:
        return Markup("")
    boxes = fold(layers, image_shape)
    lanes = _lanes(boxes)
    width = WIDTH + 2 * LEFT + LANE * (1 + max(lanes.values(), default=0))
    height = len(boxes) * (HEIGHT + GAP) + GAP
    parts = [_box(place, box) for place, box in enumerate(boxes)]
    parts += [_line(source, target, lanes) for source, target in _edges(boxes)]
    n = len(boxes) - 1
    said = f"The layers of the network from top to bottom: the image, then {n} boxes."
    return Markup(
        '<svg class="network" viewBox="0 0 {} {}" width="{}" role="img" aria-label="{}">{}</svg>'
    ).format(width, height, width, said, Markup("").join(parts))


def fold(layers: Sequence[Mapping[str, Any]], image_shape: Sequence[int]) -> list[Box]:
    """Put a normalisation or activation into the box of the layer whose output alone it reads."""
    inputs = [_inputs(layers, place) for place in range(len(layers))]
    n_readers = [sum(place in read for read in inputs) for place in range(len(layers))]
    boxes = [Box(name="image", kinds=["Image"], output_shape=image_shape, n_parameters=0)]
    box_of = {IMAGE: 0}
    for place, layer in enumerate(layers):
        before = place - 1
        is_small = not layer["n_parameters"] or "Norm" in str(layer["kind"])
        if (
            place
            and is_small
            and inputs[place] == {before}
            and n_readers[before] == 1
            and layer["output_shape"] == layers[before]["output_shape"]
        ):
            box = boxes[box_of[before]]
            box.kinds.append(str(layer["kind"]))
            box.n_parameters += layer["n_parameters"]
            box_of[place] = box_of[before]
        else:
            boxes.append(
                Box(
                    name=str(layer["name"]),
                    kinds=[str(layer["kind"])],
                    output_shape=layer["output_shape"],
                    n_parameters=layer["n_parameters"],
                    inputs={box_of[source] for source in inputs[place]},
                )
            )
            box_of[place] = len(boxes) - 1
    return boxes


def _inputs(layers: Sequence[Mapping[str, Any]], place: int) -> set[int]:
    """Places of the layers that one reads; of an older record, the one before."""
    found = layers[place].get("inputs")
    return {place - 1} if found is None else {int(source) for source in found}


def _edges(boxes: Sequence[Box]) -> list[tuple[int, int]]:
    return [(source, target) for target, box in enumerate(boxes) for source in sorted(box.inputs)]


def _lanes(boxes: Sequence[Box]) -> dict[tuple[int, int], int]:
    """Give each line that passes boxes by a lane, the short ones the inner ones."""
    lanes: dict[tuple[int, int], int] = {}
    for source, target in sorted(_edges(boxes), key=lambda edge: (edge[1] - edge[0], edge)):
        if target - source > 1:
            taken = {lane for (a, b), lane in lanes.items() if a < target and source < b}
            free = next(lane for lane in range(1, len(lanes) + 2) if lane not in taken)
            lanes[source, target] = min(free, MAX_LANES)
    return lanes


def _top(place: int) -> int:
    return GAP + place * (HEIGHT + GAP)


def _box(place: int, box: Box) -> Markup:
    facts = [box.name, shape(box.output_shape)]
    if box.n_parameters:
        facts.append(f"{count(box.n_parameters)} parameters")
    top = _top(place)
    return Markup(
        '<rect x="{}" y="{}" width="{}" height="{}" rx="6"/>'
        '<text class="kinds" x="{}" y="{}">{}</text><text x="{}" y="{}">{}</text>'
    ).format(
        *(LEFT, top, WIDTH, HEIGHT),
        *(LEFT + 12, top + 18, _cut(" · ".join(box.kinds))),
        *(LEFT + 12, top + 35, _cut(", ".join(fact for fact in facts if fact))),
    )


def _line(source: int, target: int, lanes: Mapping[tuple[int, int], int]) -> Markup:
    end = _top(target)
    if (source, target) not in lanes:
        x = LEFT + WIDTH // 2
        path = f"M{x} {_top(source) + HEIGHT} V{end}"
        head = f"M{x - 4} {end - 5} L{x} {end} L{x + 4} {end - 5}"
    else:
        right, middle = LEFT + WIDTH, HEIGHT // 2
        out = right + LANE * lanes[source, target]
        # Lines leave below the middle of a box and arrive above it, so that both can be told.
        path = f"M{right} {_top(source) + middle + 7} H{out} V{end + middle - 7} H{right}"
        head = f"M{right + 5} {end + middle - 11} L{right} {end + middle - 7} "
        head += f"L{right + 5} {end + middle - 3}"
    return Markup('<path d="{} {}"/>').format(path, head)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "\N{HORIZONTAL ELLIPSIS}"
