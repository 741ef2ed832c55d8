"""The page of a network: every layer in a row and in a box, valid SVG, no address but its own."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import keras
from keras import layers

from hsr_tf.networks.cards import ImageConfig, ImageSpec
from hsr_tf.networks.inspection import Inspection
from hsr_tf.networks.structure import read_structure
from hsr_tf.report.html.network_page import boxes_of, render_network


def inspection() -> Inspection:
    x = keras.Input((None, None, 2), name="lr_image")
    y = layers.PReLU(shared_axes=(1, 2), name="<bend>")(layers.Conv2D(2, 3, padding="same", name="conv")(x))
    network = keras.Model({"lr_image": x}, {"estimate": layers.Add(name="sum")([x, y])})
    config = ImageConfig("vdsr", ImageSpec(None), {})
    return Inspection(config, "a <test>", read_structure(network, (8, 16)))


def test_an_activation_lies_in_the_box_of_its_layer() -> None:
    boxes = boxes_of(inspection().structure)
    assert [(box.name, box.words) for box in boxes] == [
        ("lr_image", "input"),
        ("conv", "conv 3x3 · PReLU"),
        ("sum → estimate", "add"),
    ]
    assert [box.inputs for box in boxes] == [(), (0,), (0, 1)]
    assert boxes[1].size == "h × w × 2"


def test_the_page_holds_every_layer_and_nothing_from_elsewhere() -> None:
    text = render_network(inspection())
    drawn = re.search(r"<svg.*?</svg>", text, re.S)
    assert drawn is not None
    root = ElementTree.fromstring(drawn.group(0))
    name = "{http://www.w3.org/2000/svg}"
    assert len(root.findall(f"{name}g")) == 3 and len(root.findall(f"{name}path")) == 3
    assert text.count("<tr data-box=") == 4
    assert "&lt;bend&gt;" in text and "<bend>" not in text and "a &lt;test&gt;" in text
    assert re.findall(r"(?:src|href)=\"(?!#|data:)", text) == []
    assert set(re.findall(r"https?://[^\"<\s]+", text)) == {"http://www.w3.org/2000/svg"}
