"""Receptive fields against hand-computed chains and against the gradients' support."""

import keras
import numpy as np
import pytest
from keras import layers

from evalib.models import baseline_network, s3_network
from evalib.receptive_field import receptive_field, receptive_field_table


def seen_rows(model: keras.Model, layer: str) -> int:
    """The extent of the rows that change the middle output pixel, found by poking each row.

    The models used here have positive weights and no activations: no influence can cancel.
    """
    size = model.input_shape[1]
    probe = keras.Model(model.inputs, model.get_layer(layer).output)
    images = np.zeros((size + 1, size, size, 1), "float32")
    for row in range(size):
        images[row + 1, row, :, 0] = 1.0
    outputs = probe.predict(images, verbose=0)
    middle = outputs[:, outputs.shape[1] // 2, outputs.shape[2] // 2]
    changed = np.flatnonzero(np.abs(middle[1:] - middle[0]).max(axis=-1) > 0)
    return int(changed[-1] - changed[0] + 1)


def positive(model: keras.Model) -> keras.Model:
    model.set_weights([np.full(w.shape, 0.1, "float32") for w in model.get_weights()])
    return model


CHAINS = {
    "two 3x3 see 5x5": ([layers.Conv2D(2, 3), layers.Conv2D(2, 3)], 5, 1),
    "pooling adds one step, then doubles the stride": (
        [layers.Conv2D(2, 3), layers.MaxPooling2D(2), layers.Conv2D(2, 3)],
        3 + 1 + 2 * 2,
        2,
    ),
    "a stride widens what follows": (
        [layers.Conv2D(2, 3, strides=2), layers.Conv2D(2, 3), layers.Conv2D(2, 3)],
        3 + 2 * 2 + 2 * 2,
        2,
    ),
    "dilation spreads the kernel": ([layers.Conv2D(2, 3, dilation_rate=3)], 7, 1),
    "same padding sees as much": ([layers.Conv2D(2, 5, padding="same")], 5, 1),
    "average pooling": ([layers.AveragePooling2D(3, 2), layers.Conv2D(2, 3)], 3 + 2 * 2, 2),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_by_hand_and_by_poking(name):
    chain, size, stride = CHAINS[name]
    built = [layer.__class__.from_config(layer.get_config()) for layer in chain]
    model = positive(keras.Sequential([keras.Input((41, 41, 1)), *built]))
    field = receptive_field(model)
    assert field.size == (size, size)
    assert field.stride == (stride, stride)
    assert seen_rows(model, model.layers[-1].name) == size


def test_height_and_width_are_apart():
    model = keras.Sequential([keras.Input((20, 20, 1)), layers.Conv2D(1, (3, 5), strides=(1, 2))])
    field = receptive_field(model)
    assert (field.size, field.stride) == ((3, 5), (1, 2))


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "before"),
    # ceil(size / stride) outputs; the zeros needed, halved and rounded down, come first.
    [(28, 3, 1, 1), (28, 3, 2, 0), (27, 3, 2, 1), (28, 5, 2, 1), (28, 1, 2, 0)],
)
def test_same_padding_by_hand(size, kernel, stride, before):
    convolution = layers.Conv2D(1, kernel, strides=stride, padding="same")
    model = keras.Sequential([keras.Input((size, size, 1)), convolution])
    assert receptive_field(model).padding == (before, before)


def test_our_network_by_hand():
    model = s3_network()
    expected = {
        "block1_conv1": 3,
        "block1_pool": 4,
        "block2_conv1": 8,
        "block2_conv2": 12,
        "block2_conv3": 16,
        "block2_conv4": 20,
        "class_maps": 20,
    }
    assert {n: receptive_field(model, n).size[0] for n in expected} == expected
    assert receptive_field(model).is_global
    assert receptive_field(model).size == (28, 28)


def test_the_first_network_sees_everything_with_its_last_kernel():
    assert receptive_field(baseline_network(), "conv3").size == (28, 28)
    # Flattening a single pixel mixes nothing new in.
    assert receptive_field(baseline_network(), "flatten").size == (28, 28)


def test_flattening_several_pixels_sees_everything():
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(1, 3), layers.Flatten()])
    assert receptive_field(model).is_global


def test_the_table_counts_every_parameter_once_and_prints():
    model = s3_network()
    table = receptive_field_table(model)
    assert sum(row.parameters for row in table) == model.count_params()
    lines = str(table).splitlines()
    assert lines[5].split() == ["block2_conv1", "Conv2D", "3x3", "1x1", "11x11x24", "3,456", "8x8"]
    assert table._repr_html_().count("<tr>") == len(lines)


def test_what_is_not_known_is_refused_by_name():
    inputs = keras.Input((8, 8, 1))
    branch = layers.Conv2D(1, 3, padding="same", name="left")(inputs)
    added = layers.Add(name="sum")([branch, inputs])
    with pytest.raises(ValueError, match="'sum' branches off"):
        receptive_field(keras.Model(inputs, added))
    upsampled = keras.Sequential([inputs, layers.UpSampling2D(name="larger")])
    with pytest.raises(ValueError, match="'larger' is a UpSampling2D"):
        receptive_field(upsampled)
    with pytest.raises(ValueError, match="expected one of the layers conv1, .* got 'conv9'"):
        receptive_field(baseline_network(), "conv9")
