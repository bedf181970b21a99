"""The table of a model's layers, its notation, and the command that prints it."""

import keras
import pytest
from keras import layers

from evalib.networks.applications import application_graph
from evalib.networks.course import s3_network
from evalib.receptive_fields.compute import receptive_field_table
from evalib.results import results_folder
from evalib.tools.cli import main


def course_network() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((400, 400, 3)),
            layers.Conv2D(32, 3, name="first"),
            layers.MaxPooling2D(2, name="pool"),
            layers.Conv2D(8, 1, name="mix"),
            layers.GlobalAveragePooling2D(name="average"),
        ]
    )


def test_it_prints_in_the_notation_of_the_course():
    assert str(receptive_field_table(course_network())).splitlines() == [
        "first    400x400x3 | (3x3x3)x32 | 398x398x32 | RF of 3x3",
        "pool     398x398x32 | MaxPooling2D(2x2) | 199x199x32 | RF of 4x4",
        "mix      199x199x32 | (1x1x32)x8 | 199x199x8 | RF of 4x4",
        "average  199x199x8 | GlobalAveragePooling2D | 8 | RF global",
    ]
    assert repr(receptive_field_table(course_network())) == str(
        receptive_field_table(course_network())
    )


def test_its_html_has_a_line_for_each_layer_and_escapes_names():
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(1, 3, name="a<b")])
    page = receptive_field_table(model)._repr_html_()
    assert page.count("<tr>") == 2
    assert "a&lt;b" in page
    assert "a<b" not in page


def test_its_records_are_plain():
    first, pool, *_ = receptive_field_table(course_network()).records()
    assert first == {
        "name": "first",
        "kind": "Conv2D",
        "input_shape": (400, 400, 3),
        "output_shape": (398, 398, 32),
        "kernel": (3, 3),
        "stride": (1, 1),
        "dilation": (1, 1),
        "weights": "(3x3x3)x32",
        "parameters": 3 * 3 * 3 * 32 + 32,
        "receptive_field_size": (3, 3),
        "receptive_field_stride": (1, 1),
        "receptive_field_padding": (0, 0),
        "receptive_field_is_global": False,
    }
    assert (pool["kernel"], pool["stride"], pool["weights"]) == ((2, 2), (2, 2), "")


@pytest.mark.parametrize(
    ("layer", "weights"),
    [
        (layers.DepthwiseConv2D(3, depth_multiplier=2), "(3x3x1)x8"),
        (layers.SeparableConv2D(5, 3), "(3x3x1)x4 + (1x1x4)x5"),
        (layers.Conv2DTranspose(5, 3), "(3x3x4)x5 transposed"),
        (layers.Conv2D(6, 3, groups=2), "(3x3x2)x6"),
    ],
)
def test_the_kernels_of_other_convolutions(layer, weights):
    model = keras.Sequential([keras.Input((9, 9, 4)), layer])
    (row,) = receptive_field_table(model)
    assert row.weights == weights


@pytest.mark.parametrize("name", ["VGG16", "MobileNetV2"])
def test_shapes_and_parameters_are_those_of_the_models_layers(name):
    model = application_graph(name)
    rows = {row.name: row for row in receptive_field_table(model)}
    assert list(rows) == [layer.name for layer in model.layers[1:]]
    for layer in model.layers[1:]:
        assert rows[layer.name].output_shape == tuple(layer.output.shape[1:])
        assert rows[layer.name].parameters == layer.count_params()


def test_it_counts_every_parameter_once():
    model = s3_network()
    assert sum(row.parameters for row in receptive_field_table(model)) == model.count_params()


def test_some_layers_can_be_selected():
    table = receptive_field_table(course_network())
    assert [row.name for row in table.select(kinds=["Conv2D"])] == ["first", "mix"]
    assert [row.name for row in table.select(["pool"])] == ["pool"]


# ---- the command -----------------------------------------------------------------------------


def test_the_command_prints_a_network_of_keras(capsys):
    assert main(["rf", "VGG16"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["layer", "kind", "output"]
    pool = next(line for line in lines if line.startswith("block5_pool")).split()
    assert pool[-3:] == ["212x212", "32x32", "90x90"]
    assert len(lines) == 1 + 22


def test_the_command_reads_a_saved_model(capsys):
    saved = str(results_folder() / "s3_assignment" / "model.keras")
    assert main(["rf", saved, "--layer", "class_maps"]) == 0
    assert capsys.readouterr().out == "class_maps: 20x20, stride 2x2, padding 0x0\n"


def test_the_command_refuses_what_is_no_model(capsys, tmp_path):
    assert main(["rf", "VGG61"]) == 2
    assert "such as VGG19, VGG16, got 'VGG61'" in capsys.readouterr().err
    assert main(["rf", str(tmp_path / "none.keras")]) == 2
    assert "there is none at" in capsys.readouterr().err
    cut_off = tmp_path / "cut.keras"
    cut_off.write_bytes(b"PK\x03\x04")
    assert main(["rf", str(cut_off)]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert main(["rf", "VGG16", "--layer", "block9"]) == 2
    assert "got 'block9'" in capsys.readouterr().err
