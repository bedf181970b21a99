"""Activation maximization on networks whose best picture is known beforehand."""

import gc
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from evalib.features.maximization import (
    DEFAULT_SIZE,
    channel_gradient,
    maximize_activation,
    mean_values,
    values_before_activation,
)
from evalib.networks.course import baseline_network
from evalib.networks.gradients import input_gradient
from evalib.networks.layers import RandomAffine


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    """Two padded convolutions for color images of any size, with weights from a fixed seed."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    maps = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    maps = layers.MaxPooling2D(2, name="pool")(maps)
    maps = layers.Conv2D(6, 3, padding="same", activation="relu", name="second")(maps)
    return keras.Model(image, layers.Conv2D(4, 3, name="third")(maps))


@pytest.fixture
def halves() -> keras.Model:
    """Channel 0 likes ink on the left, channel 1 on the right, before a ReLU that hides both."""
    inputs = keras.Input((8, 8, 1))
    dense = layers.Dense(2, activation="relu", name="halves")
    model = keras.Model(inputs, dense(layers.Flatten(name="flat")(inputs)))
    left = np.where(np.arange(8) < 4, 1.0, -1.0)
    kernel = np.tile(np.stack([left, -left], axis=-1), (8, 1, 1)).reshape(64, 2)
    # A bias so low that the ReLU is shut for every image: only the value before it has a slope.
    dense.set_weights([kernel, np.full(2, -1000.0)])
    return model


def is_of_halves(pictures: np.ndarray) -> bool:
    left, right = pictures[..., 0]
    apart = left[:, :4].mean() - left[:, 4:].mean(), right[:, 4:].mean() - right[:, :4].mean()
    return min(apart) > 0.5


def test_each_channel_gets_the_picture_it_likes_even_before_a_shut_relu(halves):
    before = halves.get_weights()
    assert is_of_halves(maximize_activation(halves, "halves", [0, 1]))
    assert all((a == b).all() for a, b in zip(before, halves.get_weights(), strict=True))
    np.testing.assert_array_equal(
        maximize_activation(halves, "halves", 1, steps=2),
        maximize_activation(halves, "halves", np.array([1]), steps=2),
    )


def test_nested_models_and_layers_stacked_anew(halves):
    nested = keras.Sequential([keras.Input((8, 8, 1)), layers.Rescaling(2.0), halves])
    stacked = keras.Sequential([keras.Input((8, 8, 1)), *halves.layers[1:]])
    for model, name in (
        (nested, f"{halves.name}/halves"),
        (nested, halves.name),
        (nested, "halves"),
        (stacked, "halves"),
    ):
        assert is_of_halves(maximize_activation(model, name, [0, 1], steps=100))
    image, shared = keras.Input((8, 8, 1)), layers.Conv2D(1, 3, name="shared")
    with pytest.raises(ValueError, match="such as shared#2, shared#1, got 'shared'"):
        maximize_activation(keras.Model(image, shared(shared(image))), "shared", [0])


def test_the_users_model_is_left_as_it_is(halves):
    """No copy of a layer stays, no layer gains a reader, and no object is left behind."""
    image = np.ones((1, 8, 8, 1), "float32")
    values = values_before_activation(halves, "halves")(image)
    np.testing.assert_allclose(ops.convert_to_numpy(values), [[-1000, -1000]])
    assert ops.convert_to_numpy(halves(image)).max() == 0  # the layer keeps its ReLU
    counts = []
    for _ in range(3):
        maximize_activation(halves, "halves", [0], steps=1)
        gc.collect()
        counts.append(len(gc.get_objects()))
    flat, dense = halves.get_layer("flat"), halves.get_layer("halves")
    assert len(flat._outbound_nodes) == len(dense._inbound_nodes) == 1
    assert not halves._inbound_nodes
    if keras.backend.backend() == "tensorflow":
        assert counts[2] - counts[1] < 100


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tiny):
    movement = RandomAffine(5, 0.05, 0, 1)  # its own random state must not go on

    def draw(seed: int, parameters: str = "waves") -> np.ndarray:
        options: Any = {"size": 12, "steps": 4, "parameters": parameters, "movement": movement}
        return maximize_activation(tiny, "second", [1], seed=seed, **options)

    for parameters in ("waves", "pixels"):
        first = draw(3, parameters)
        assert (first.dtype, first.shape) == (np.float32, (1, 12, 12, 3))
        assert 0 <= first.min() < first.max() <= 1
        np.random.seed(2)
        np.testing.assert_array_equal(first, draw(3, parameters))
        assert np.abs(first - draw(4, parameters)).max() > 1e-3


@pytest.mark.parametrize("kind", ["bytes", "floats", "list"])
def test_the_climb_begins_at_the_picture_given(mnist, kind):
    image = mnist[0][0][2][..., np.newaxis]
    start = {"bytes": image, "floats": image / 255, "list": (image / 255).tolist()}[kind]
    pictures = maximize_activation(baseline_network(), "conv1", [0, 1], start=start, steps=1)
    assert np.abs(pictures - np.clip(image / 255, 0.02, 0.98)).max() < 0.05


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "thirds"}, "such as .*halves.*, got 'thirds'"),
        ({"layer": 1}, "got 1"),
        ({"channels": [0, 2]}, r"channels 0 to 1 of layer 'halves', got \[0, 2\]"),
        *[({"channels": wrong}, "channels 0 to 1") for wrong in ([], [0.0], [True], ["0"])],
        ({"start": np.zeros((8, 8))}, r"shape \(8, 8, 1\), got \(8, 8\)"),
        ({"start": np.full((8, 8, 1), 255.0)}, r"uint8 or floats in \[0, 1\]"),
        ({"start": np.full((8, 8, 1), np.nan)}, "got nan"),
        ({"parameters": "cubes"}, "waves or pixels, got 'cubes'"),
        ({"steps": 0}, "at least 1 step"),
        ({"learning_rate": 0}, "a learning rate above 0"),
        ({"diversity": -1}, "diversity of at least 0"),
        ({"size": 9}, "8x8 pixels, got 9"),
        ({"size": 8.0}, "a whole number, got 8.0"),
    ],
)
def test_what_cannot_be_drawn_is_refused(halves, options, message):
    with pytest.raises(ValueError, match=message):
        maximize_activation(halves, **{"layer": "halves", "channels": [0], **options})


def test_models_and_sizes_that_do_not_fit_are_refused(tiny):
    # A 3x3 window without padding, after a pooling by two.
    with pytest.raises(ValueError, match="at least 6 pixels for layer 'third', got 5x5"):
        maximize_activation(tiny, "third", [0], size=5)
    pair = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    whole = keras.Input((8, 8, 1), dtype="uint8")
    for model, message in (
        (keras.Model(pair, layers.Add(name="sum")(pair)), r"got \(None, 8, 8, 1\) float32, \(None"),
        (keras.Model(whole, layers.Rescaling(1 / 255, name="sum")(whole)), "uint8"),
        (keras.Model(), "no graph"),
    ):
        with pytest.raises(ValueError, match=f"one input of floats.*{message}"):
            maximize_activation(model, "sum", [0])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float16", "float64"])
def test_pictures_are_float32_whatever_the_number_type(policy):
    keras.config.set_dtype_policy(policy)
    keras.config.set_floatx("float64" if policy == "float64" else "float32")
    try:
        image = keras.Input((8, 8, 3))
        model = keras.Model(image, layers.Conv2D(2, 3, activation="relu", name="c")(image))
        pictures = maximize_activation(model, "c", [0, 1], steps=3)
    finally:
        keras.config.set_dtype_policy("float32")
        keras.config.set_floatx("float32")
    assert (pictures.dtype, np.isfinite(pictures).all()) == (np.float32, True)


@pytest.fixture(scope="module")
def stripes() -> keras.Model:
    """Six pixels from stripe to stripe: channel 0 wants them upright, channel 1 lying down.

    The second layer averages over 15x15 positions, and subtracts the other direction's stripes.
    """
    image = keras.Input((None, None, 3))
    convolution = layers.Conv2D(2, 9, padding="same", activation="relu", name="stripes")
    opponents = layers.Conv2D(2, 15, padding="same", activation="relu", name="opponents")
    model = keras.Model(image, opponents(convolution(image)))
    wave = np.cos(2 * np.pi * (np.arange(9) - 4) / 6)
    wave -= wave.mean()
    upright = np.tile(wave, (9, 1))
    kernels = np.stack([upright, upright.T], axis=-1)[:, :, np.newaxis]
    convolution.set_weights([np.repeat(kernels, 3, axis=2), np.zeros(2)])
    opponents.set_weights([np.tile([[1, -1], [-1, 1]], (15, 15, 1, 1)) / 225, np.zeros(2)])
    return model


@pytest.mark.parametrize("parameters", ["waves", "pixels"])
def test_the_activation_rises_tenfold_over_noise_and_the_stripes_are_right(stripes, parameters):
    def means(pictures: np.ndarray) -> np.ndarray:
        values = values_before_activation(stripes, "opponents")(pictures)
        return ops.convert_to_numpy(mean_values(values))

    images = maximize_activation(stripes, "opponents", [0, 1], size=48, parameters=parameters)
    noise = np.random.default_rng(0).random((8, 48, 48, 3)).astype("float32")
    own, usual = np.diagonal(means(images)), means(noise).mean(axis=0)
    assert (usual > 0).all()
    assert (own > 10 * usual).all(), own / usual
    # Eight waves on 48 pixels, give or take what the images are stretched and squeezed by.
    for image in (images[0], images[1].transpose(1, 0, 2)):
        energy = np.abs(np.fft.fft2(image.mean(axis=-1))) ** 2
        assert energy[0, 7:10].sum() > 10 * energy[7:10, 0].sum()


def test_a_shut_relu_in_the_layer_or_after_it_hides_nothing(stripes):
    shut = keras.models.clone_model(stripes)
    weights = [stripes.get_weights()[0], np.full(2, -1e4)]
    shut.get_layer("stripes").set_weights(weights)
    image = keras.Input((None, None, 3))
    plain = layers.Conv2D(2, 9, padding="same", name="plain")
    apart = keras.Model(image, layers.ReLU(name="relu")(plain(image)))
    apart.set_weights(weights)
    inside = maximize_activation(shut, "stripes", [0], size=36, steps=40)
    after = maximize_activation(apart, "relu", [0], size=36, steps=40)
    np.testing.assert_array_equal(inside, after)
    assert inside.std() > 0.1
    assert ops.convert_to_numpy(ops.max(values_before_activation(shut, "stripes")(inside))) < 0


def test_the_size_is_chosen_and_the_input_is_prepared(tiny):
    assert maximize_activation(tiny, "first", [0], steps=1).shape == (1, *[DEFAULT_SIZE] * 2, 3)
    # What darkens the first channel's picture must brighten it when the input is turned around.
    bright = keras.models.clone_model(tiny)
    kernels = np.zeros((3, 3, 3, 8))
    kernels[1, 1] = 1.0
    bright.get_layer("first").set_weights([kernels, np.zeros(8)])
    light = maximize_activation(bright, "first", [0], size=8, steps=60)
    dark = maximize_activation(bright, "first", [0], size=8, steps=60, prepare=lambda x: 1 - x)
    assert light.mean() > 0.5 > dark.mean()


def test_the_gradient_is_that_of_keras_and_climbs(tiny):
    images = np.random.default_rng(0).random((2, 12, 12, 3)).astype("float32")
    slope = channel_gradient(tiny, "third", [1, 3], prepare=lambda x: 2 * x)
    # The sum over both channels of each image's own: another image's mean has no slope in it.
    own = np.eye(4, dtype="float32")[[1, 3]]
    one = input_gradient(tiny, 2 * images, output=lambda values: mean_values(values) * own)
    np.testing.assert_allclose(slope(images), 2 * one, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(slope(images), slope(images))
    with pytest.raises(ValueError, match=r"2 images, one a channel, got \(1, 12, 12, 3\)"):
        slope(images[:1])


def test_the_most_negative_picture_is_the_other_ones_opposite(halves):
    likes, dislikes = (
        maximize_activation(halves, "halves", [0], negative=negative)[0, ..., 0]
        for negative in (False, True)
    )
    assert likes[:, :4].mean() - likes[:, 4:].mean() > 0.5
    assert dislikes[:, 4:].mean() - dislikes[:, :4].mean() > 0.5


def test_diversity_makes_pictures_of_one_channel_differ(stripes):
    """A channel that likes stripes of both directions gets some of each."""
    sums = layers.Conv2D(1, 1, name="either")
    either = keras.Model(stripes.inputs, sums(stripes.get_layer("stripes").output))
    sums.set_weights([np.ones((1, 1, 2, 1)), np.zeros(1)])
    both = keras.Model(
        either.inputs,
        layers.Concatenate(name="all")([either.output, stripes.get_layer("stripes").output]),
    )

    def difference(diversity: float) -> float:
        images = maximize_activation(both, "all", [0, 0], size=32, steps=60, diversity=diversity)
        maps = ops.convert_to_numpy(ops.relu(both(images)))[..., 1:].mean(axis=(1, 2))
        shares = maps[:, 0] / maps.sum(axis=1)  # of upright stripes
        return abs(shares[0] - shares[1])

    assert difference(5.0) > difference(0.0) + 0.1
