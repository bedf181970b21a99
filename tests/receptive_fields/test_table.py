"""The table of a model's layers: its notation, its rows, its columns."""

import json

import keras
import pytest
from keras import layers

from evalib.networks.applications import application_graph
from evalib.receptive_fields.arithmetic import ReceptiveField
from evalib.receptive_fields.compute import receptive_field_table


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
    table = receptive_field_table(course_network())
    assert repr(table) == str(table)
    assert str(table).splitlines() == [
        "first    400x400x3 | (3x3x3)x32 | 398x398x32 | RF of 3x3",
        "pool     398x398x32 | MaxPooling2D(2x2) | 199x199x32 | RF of 4x4",
        "mix      199x199x32 | (1x1x32)x8 | 199x199x8 | RF of 4x4",
        "average  199x199x8 | GlobalAveragePooling2D | 8 | RF global",
    ]


def test_one_row_for_each_layer_and_what_is_not_known_says_why():
    image = keras.Input((16, 16, 1))
    maps = layers.Conv2D(2, 3, name="a<b")(image)
    own = layers.Lambda(lambda x: x * 2, output_shape=(14, 14, 2), name="own")(maps)
    model = keras.Model(image, layers.ReLU(name="last")(own))
    table = receptive_field_table(model)
    known, unknown, after = table.rows
    assert known.receptive_field is not None
    assert known.receptive_field.size == (3, 3)
    assert (unknown.receptive_field, after.receptive_field) == (None, None)
    assert "Lambda is not known" in unknown.reason
    assert after.reason == "it reads 'own'"
    lines = table.columns().splitlines()
    assert lines[2].split()[-1] == "?"
    assert lines[4].startswith("? own: layer 'own'")
    page = table._repr_html_()
    assert page.count("<tr") == 4
    assert "a&lt;b" in page
    assert "a<b" not in page


def test_detection_heads_joined_end_to_end_keep_their_rows():
    image = keras.Input((64, 64, 3))
    small = layers.Conv2D(4, 3, strides=2, padding="same")(image)
    large = layers.Conv2D(4, 3, strides=2, padding="same")(small)
    heads = [
        layers.Reshape((-1, 4))(layers.Conv2D(12, 3, padding="same")(m)) for m in (small, large)
    ]
    model = keras.Model(image, layers.Concatenate(axis=1, name="boxes")(heads))
    *rows, boxes = receptive_field_table(model)
    assert [str(row.receptive_field) for row in rows] == [
        f"{size}x{size}" for size in (3, 7, 7, 15, 7, 15)
    ]
    # The largest of them; they do not lie evenly.
    assert boxes.receptive_field == ReceptiveField((15, 15), (None, None), (None, None))


def test_records_are_plain():
    first, pool, *_ = (row.record() for row in receptive_field_table(course_network()))
    assert json.loads(json.dumps(first)) == first
    assert first["output_shape"] == [398, 398, 32]
    assert (first["weights"], first["parameters"]) == ("(3x3x3)x32", 3 * 3 * 3 * 32 + 32)
    assert first["receptive_field_size"] == [3, 3]
    assert (pool["kernel"], pool["stride"], pool["weights"]) == ([2, 2], [2, 2], "")
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.UpSampling2D(2)])
    assert (
        next(iter(receptive_field_table(model))).record()["receptive_field_stride"] == ["1/2"] * 2
    )


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
    (row,) = receptive_field_table(keras.Sequential([keras.Input((9, 9, 4)), layer]))
    assert row.weights == weights


@pytest.mark.filterwarnings("ignore:.*do not align")
@pytest.mark.parametrize("name", ["VGG16", "InceptionResNetV2"])
def test_a_terminal_of_80_columns_shows_every_row(name):
    table = receptive_field_table(application_graph(name))
    lines = table.columns(80).splitlines()
    assert max(map(len, lines)) <= 80
    assert len(lines) >= 1 + len(table)
    assert lines[0].split()[:1] == ["layer"]
    assert "receptive field" in lines[0]


def test_shapes_and_parameters_are_those_of_the_models_layers():
    model = application_graph("MobileNetV2")
    rows = {row.name: row for row in receptive_field_table(model)}
    assert list(rows) == [layer.name for layer in model.layers[1:]]
    for layer in model.layers[1:]:
        assert rows[layer.name].output_shape == tuple(layer.output.shape[1:])
        assert rows[layer.name].parameters == layer.count_params()
