"""Multiplications counted by hand, and by really doing a small convolution's."""

import keras
import pytest
from keras import layers

from evalib.networks.applications import application_graph
from evalib.networks.costs import layer_costs, macs
from evalib.networks.layers import SReLU


class Wide(layers.Conv2D):
    """Someone's own class, which computes what its parent computes."""


def one_layer(layer: keras.Layer, *shape: int | None) -> int:
    return macs(keras.Sequential([keras.Input(shape), layer]))


@pytest.mark.parametrize(
    ("layer", "shape", "by_hand"),
    [
        # The course's squeeze: 195x195 positions, 512 products for each of 32 channels.
        (layers.Conv2D(32, 1), (195, 195, 512), 195 * 195 * 512 * 32),
        (layers.Conv2D(6, 3, padding="same", strides=2), (10, 8, 4), 5 * 4 * 9 * 4 * 6),
        (layers.Conv2D(6, 3, groups=2), (10, 8, 4), 8 * 6 * 9 * 2 * 6),
        (layers.Conv1D(6, 3), (10, 4), 8 * 3 * 4 * 6),
        (layers.Conv3D(2, 3), (5, 5, 5, 4), 27 * 27 * 4 * 2),
        (layers.DepthwiseConv2D(3), (10, 8, 4), 8 * 6 * 9 * 4),
        (layers.SeparableConv2D(6, 3), (10, 8, 4), 8 * 6 * (9 * 4 + 4 * 6)),
        (layers.Conv2DTranspose(6, 2, strides=2), (5, 4, 3), 5 * 4 * 4 * 3 * 6),
        (layers.Dense(7), (20,), 20 * 7),
        (layers.Dense(7), (10, 8, 4), 10 * 8 * 4 * 7),
        (Wide(6, 3), (10, 8, 4), 8 * 6 * 9 * 4 * 6),
        (layers.BatchNormalization(), (10, 8, 4), 0),
        (layers.PReLU(shared_axes=[1, 2]), (10, 8, 4), 0),
        (SReLU(), (10, 8, 4), 0),
    ],
)
def test_multiplications_by_hand(layer, shape, by_hand):
    assert one_layer(layer, *shape) == by_hand


def test_a_layer_that_is_called_twice_works_twice_with_the_same_weights():
    inside = keras.Sequential([keras.Input((8, 8, 3)), layers.ReLU()], name="inside")
    image = keras.Input((8, 8, 3))
    shared = layers.Conv2D(3, 3, padding="same", name="shared")
    model = keras.Model(image, shared(inside(shared(image))))
    first, relu, second = layer_costs(model)
    assert [first.name, relu.name[:7], second.name] == ["shared#1", "inside/", "shared#2"]
    assert first.output_shape == (8, 8, 3)
    assert first.macs == second.macs == 64 * 9 * 3 * 3
    assert [first.parameters, second.parameters] == [9 * 3 * 3 + 3, 0]


def test_known_networks_cost_what_their_papers_say():
    for name, published in (
        ("MobileNetV2", 300e6),  # Sandler et al. 2018, table 4
        ("VGG16", 15.3e9),  # He et al. 2015, section 4.1; the convolutions alone
    ):
        top = published < 1e9
        model = application_graph(name, input_shape=(224, 224, 3), include_top=top)
        assert macs(model) == pytest.approx(published, rel=0.005)


def test_what_cannot_be_counted_is_refused():
    class Squared(layers.Conv2D):
        def call(self, values):
            return super().call(values) ** 2

    with pytest.raises(ValueError, match="expected known sizes"):
        one_layer(layers.Conv2D(4, 3), None, None, 3)
    with pytest.raises(ValueError, match=r"layer 'memory' \(LSTM\)"):
        one_layer(layers.LSTM(4, name="memory"), 5, 3)
    with pytest.raises(ValueError, match=r"layer 'own' \(Squared\)"):
        one_layer(Squared(4, 3, name="own"), 9, 9, 3)
    with pytest.raises(ValueError, match="without one"):
        macs(keras.Sequential([layers.Dense(4)]))
