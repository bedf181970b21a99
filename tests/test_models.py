"""Parameters added up by hand, and the rules of the assignment."""

import itertools

import keras
import pytest

from evalib.models import baseline_network, s3_network


def test_the_courses_first_network_layer_by_layer():
    model = baseline_network()
    by_hand = {
        "conv1": 3 * 3 * 1 * 32 + 32,  # 320
        "conv2": 1 * 1 * 32 * 10 + 10,  # 330
        "conv3": 26 * 26 * 10 * 10 + 10,  # 67,610
        "flatten": 0,
        "probabilities": 0,
    }
    assert {layer.name: layer.count_params() for layer in model.layers} == by_hand
    assert model.count_params() == 68_260  # what the course's notebook printed
    assert model.get_layer("conv3").output.shape[1:] == (1, 1, 10)


def test_our_network_layer_by_layer():
    model = s3_network()
    channels = [1, 16, 24, 24, 24, 20]
    kernels = sum(9 * a * b for a, b in itertools.pairwise(channels))
    normalization = sum(4 * c for c in channels[1:])  # scale, shift, moving mean, moving variance
    assert model.count_params() == kernels + normalization + (20 * 10 + 10) == 18_930
    assert model.count_params() < 20_000


def test_our_network_keeps_to_3x3_and_1x1():
    convolutions = [
        layer for layer in s3_network().layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert len(convolutions) == 6
    assert {layer.kernel_size for layer in convolutions} == {(3, 3), (1, 1)}


@pytest.mark.parametrize("network", [baseline_network, s3_network])
def test_nothing_stands_between_the_last_linear_layer_and_the_softmax(network):
    tail = []
    for layer in reversed(network().layers):
        tail.append(layer)
        if layer.count_params() > 0:
            break
    *between, last_linear = tail[1:]
    assert last_linear.activation is keras.activations.linear
    allowed = keras.layers.Flatten | keras.layers.GlobalAveragePooling2D
    assert all(isinstance(layer, allowed) for layer in between)


def test_a_notebook_can_ask_for_a_layer_by_name():
    names = [layer.name for layer in s3_network().layers]
    assert "block2_conv2" in names
    assert len(set(names)) == len(names)
    assert names == [layer.name for layer in s3_network().layers], "names change with each call"
