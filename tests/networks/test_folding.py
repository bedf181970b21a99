"""A folded network gives what the network gives, with three numbers a channel fewer."""

import keras
import numpy as np
import pytest
from keras import layers

from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.course import s3_network
from evalib.networks.folding import fold_normalization


def trained_statistics(model: keras.Model, generator: np.random.Generator) -> keras.Model:
    """Random weights everywhere, variances and gammas positive."""
    for layer in model.layers:
        for weight in layer.weights:
            values = generator.normal(0.1, 0.4, weight.shape)
            if "variance" in weight.path or "gamma" in weight.path:
                values = 0.2 + np.abs(values)
            weight.assign(values)
    return model


def agree(model: keras.Model, other: keras.Model, generator: np.random.Generator) -> bool:
    images = generator.random((7, *model.input_shape[1:]), dtype=np.float32)
    first, second = (one.predict(images, verbose=0) for one in (model, other))
    return np.allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("convolution", ["full", "separable"])
def test_networks_with_pooling_between_convolution_and_normalization(convolution, generator):
    plan = NetworkConfig(channels=(4, 6, 5), pool_after=(1, 2), convolution=convolution)
    model = trained_statistics(build_network(plan), generator)
    folded = fold_normalization(model)
    assert not any(isinstance(layer, layers.BatchNormalization) for layer in folded.layers)
    assert folded.count_params() == model.count_params() - 3 * (4 + 6 + 5)
    assert agree(model, folded, generator)


def test_every_kind_of_layer_and_a_shortcut(generator):
    image = keras.Input((9, 9, 3))
    first = layers.Conv2D(4, 3, padding="same")(image)
    first = layers.BatchNormalization()(first)
    inner = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(first)
    inner = layers.ReLU()(layers.BatchNormalization(scale=False)(inner))
    inner = layers.Conv2D(4, 1, use_bias=False)(inner)
    inner = layers.BatchNormalization(center=False)(inner)
    both = layers.Add()([first, inner])
    numbers = layers.BatchNormalization()(layers.Dense(5)(layers.Flatten()(both)))
    model = trained_statistics(keras.Model(image, layers.Softmax()(numbers)), generator)
    folded = fold_normalization(model)
    kinds = [type(layer) for layer in folded.layers]
    assert layers.BatchNormalization not in kinds
    assert layers.Add in kinds
    # By hand: 3x3x3x4 + 4, 3x3x4x2 + 8, 8x4 + 4, 9x9x4x5 + 5.
    assert folded.count_params() == 112 + 80 + 36 + 1625
    assert agree(model, folded, generator)


def test_what_cannot_be_folded_stays(generator):
    image = keras.Input((8, 8, 2))
    shared = layers.Conv2D(2, 3, padding="same")
    twice = layers.BatchNormalization()(shared(layers.BatchNormalization()(shared(image))))
    active = layers.BatchNormalization()(layers.Conv2D(2, 1, activation="relu")(twice))
    seen = layers.Conv2D(2, 1)(active)
    read_twice = layers.Add()([layers.BatchNormalization()(seen), seen])
    model = trained_statistics(keras.Model(image, read_twice), generator)
    folded = fold_normalization(model)
    assert folded.count_params() == model.count_params()
    assert agree(model, folded, generator)


@pytest.mark.parametrize("reader", ["an output", "a model inside"])
def test_what_is_read_elsewhere_stays_as_it_was(generator, reader):
    image = keras.Input((8, 8, 2))
    seen = layers.Conv2D(2, 3)(image)
    normalized = layers.BatchNormalization()(seen)
    inside = keras.Sequential([keras.Input((6, 6, 2)), layers.ReLU()])
    outputs = (
        [seen, normalized] if reader == "an output" else layers.Add()([normalized, inside(seen)])
    )
    model = trained_statistics(keras.Model(image, outputs), generator)
    images = generator.random((7, 8, 8, 2), dtype=np.float32)
    folded = fold_normalization(model)
    assert folded.count_params() == model.count_params()
    first, second = (keras.tree.flatten(one.predict(images, verbose=0)) for one in (model, folded))
    for expected, found in zip(first, second, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_another_axis_or_the_statistics_of_the_batch_stay(generator):
    """As many rows as channels: the wrong axis would fit."""
    image = keras.Input((4, 4, 4))
    rows = layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(image))
    batch = layers.BatchNormalization()(layers.Conv2D(4, 1)(rows), training=True)
    model = trained_statistics(keras.Model(image, batch), generator)
    folded = fold_normalization(model)
    assert folded.count_params() == model.count_params()
    assert agree(model, folded, generator)


def test_a_model_inside_is_folded_together_with_what_follows_it(generator):
    image = keras.Input((8, 8, 2))
    inside = keras.Sequential([keras.Input((8, 8, 2)), layers.Conv2D(3, 3)])
    model = keras.Model(image, layers.BatchNormalization()(inside(image)))
    trained_statistics(model, generator)
    folded = fold_normalization(model)
    assert folded.count_params() == 3 * 3 * 2 * 3 + 3
    assert agree(model, folded, generator)


def test_a_maximum_does_not_change_places_with_a_negative_factor(generator):
    model = trained_statistics(s3_network(), generator)
    gamma = model.get_layer("block1_norm1").gamma
    values = keras.ops.convert_to_numpy(gamma).copy()
    values[3] = -0.5
    gamma.assign(values)
    folded = fold_normalization(model)
    kept = [layer for layer in folded.layers if isinstance(layer, layers.BatchNormalization)]
    assert [layer.name for layer in kept] == ["block1_norm1"]
    assert agree(model, folded, generator)


def test_the_model_itself_stays_as_it_is(generator):
    model = trained_statistics(build_network(NetworkConfig(channels=(3,))), generator)
    before = model.get_weights()
    fold_normalization(model)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
