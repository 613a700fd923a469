"""The drawing of a network has its layers, its lines, and no markup of a user."""

from xml.etree import ElementTree

from page_reader import HOSTILE
from run_data import LAYERS

from nasgtn.report.drawing import IMAGE, fold, network_drawing

SVG = "{http://www.w3.org/2000/svg}"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(
        str(svg).replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ')
    )


def test_a_normalisation_joins_the_layer_before_it() -> None:
    boxes = fold(LAYERS, [1, 8, 8])
    assert [box.kinds for box in boxes] == [
        ["Image"],
        ["Conv2d", "BatchNorm2d"],
        ["Conv2d"],
        ["AdaptiveAvgPool2d"],
        ["Linear"],
    ]
    assert [box.n_parameters for box in boxes] == [0, 384, 9248, 0, 5130]
    assert [box.inputs for box in boxes] == [set(), {0}, {1}, {1, 2}, {3}]


def test_what_several_layers_read_stays_a_box_of_its_own() -> None:
    shared = [{**LAYERS[0]}, {**LAYERS[1]}, {**LAYERS[2], "inputs": [0, 1]}]
    assert len(fold(shared, [1, 8, 8])) == 4


def test_every_layer_and_every_line_is_drawn_inside() -> None:
    drawing = parsed(network_drawing(LAYERS, [1, 8, 8]))
    _, _, width, height = (float(part) for part in drawing.attrib["viewBox"].split())
    boxes = drawing.findall(f"{SVG}rect")
    assert len(boxes) == 5
    assert len(drawing.findall(f"{SVG}path")) == 5
    tops = [float(box.attrib["y"]) for box in boxes]
    assert tops == sorted(tops)
    for box in boxes:
        assert float(box.attrib["x"]) + float(box.attrib["width"]) < width
        assert float(box.attrib["y"]) + float(box.attrib["height"]) < height
    text = " ".join(element.text or "" for element in drawing.iter(f"{SVG}text"))
    assert "Conv2d · BatchNorm2d" in text
    assert "384 parameters" in text
    assert drawing.attrib["aria-label"].endswith("the image, then 4 boxes.")


def test_a_record_without_inputs_is_a_chain() -> None:
    old = [{key: value for key, value in layer.items() if key != "inputs"} for layer in LAYERS]
    assert [box.inputs for box in fold(old, [1, 8, 8])] == [set(), {0}, {1}, {2}, {3}]
    assert network_drawing([], [1, 8, 8]) == ""


def test_names_of_users_are_text() -> None:
    layer = {**LAYERS[0], "name": HOSTILE, "kind": HOSTILE, "inputs": [IMAGE]}
    drawing = parsed(network_drawing([layer], [1, 8, 8]))
    assert {element.tag for element in drawing.iter()} == {
        SVG + tag for tag in ("svg", "rect", "text", "path")
    }
