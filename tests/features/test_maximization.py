"""Activation maximization on networks whose best picture is known beforehand."""

import keras
import numpy as np
import pytest
from keras import layers, ops

from evalib.features.maximization import (
    DEFAULT_SIZE,
    maximize_activation,
    mean_values,
    values_before_activation,
)
from evalib.features.parameterization import (
    COLOR_ROOT,
    FourierImages,
    PixelImages,
    color_matrix,
    fourier_basis,
    fourier_scale,
)
from evalib.networks.course import baseline_network, s3_network


@pytest.fixture(scope="module")
def tiny() -> keras.Model:
    """Two padded convolutions for color images of any size, with weights from a fixed seed."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 3))
    maps = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    maps = layers.MaxPooling2D(2, name="pool")(maps)
    maps = layers.Conv2D(6, 3, padding="same", activation="relu", name="second")(maps)
    return keras.Model(image, layers.Conv2D(4, 3, name="third")(maps))


def answers(model: keras.Model, layer: str, images: np.ndarray) -> np.ndarray:
    features = values_before_activation(model, layer)
    return ops.convert_to_numpy(mean_values(features(images)))


@pytest.fixture
def halves() -> keras.Model:
    """Channel 0 likes ink on the left, channel 1 on the right, behind a ReLU that hides both."""
    inputs = keras.Input((8, 8, 1))
    dense = layers.Dense(2, activation="relu", name="halves")
    model = keras.Model(inputs, dense(layers.Flatten()(inputs)))
    left = np.where(np.arange(8) < 4, 1.0, -1.0)
    kernel = np.tile(np.stack([left, -left], axis=-1), (8, 1, 1)).reshape(64, 2)
    # A bias so low that the ReLU is shut for every image: only the value before it has a slope.
    dense.set_weights([kernel, np.full(2, -1000.0)])
    return model


def test_each_channel_gets_the_picture_it_likes_even_behind_a_shut_relu(halves):
    left, right = maximize_activation(halves, "halves", [0, 1])[..., 0]
    assert left[:, :4].mean() > left[:, 4:].mean() + 0.5
    assert right[:, 4:].mean() > right[:, :4].mean() + 0.5


def test_shape_range_and_repetition():
    model = s3_network()
    images = maximize_activation(model, "block2_conv2", [0, 5, 7], steps=3, seed=1)
    assert images.shape == (3, 28, 28, 1)
    assert images.dtype == np.float32
    assert images.min() >= 0
    assert images.max() <= 1
    again = maximize_activation(model, "block2_conv2", [0, 5, 7], steps=3, seed=1)
    np.testing.assert_array_equal(images, again)


def test_the_model_and_its_weights_are_left_alone():
    model = s3_network()
    before = model.get_weights()
    flags = [layer.trainable for layer in model.layers]
    maximize_activation(model, "block2_relu4", [0], steps=3)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert [layer.trainable for layer in model.layers] == flags


def test_the_climb_begins_at_the_picture_given(mnist):
    image = mnist[0][0][2][..., np.newaxis].astype("float32") / 255
    pictures = maximize_activation(baseline_network(), "conv1", [0, 1], start=image, steps=1)
    assert np.abs(pictures - np.clip(image, 0.02, 0.98)).max() < 0.05


def test_what_is_not_there_is_refused(halves):
    with pytest.raises(ValueError, match="got 'thirds'"):
        maximize_activation(halves, "thirds", [0])
    with pytest.raises(ValueError, match=r"channels 0 to 1, got \[0, 2\]"):
        maximize_activation(halves, "halves", [0, 2])
    with pytest.raises(ValueError, match=r"shape \(8, 8, 1\), got \(8, 8\)"):
        maximize_activation(halves, "halves", [0], start=np.zeros((8, 8)))
    with pytest.raises(ValueError, match="waves or pixels, got 'cubes'"):
        maximize_activation(halves, "halves", [0], parameters="cubes")
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        maximize_activation(halves, "halves", [0], steps=0)
    with pytest.raises(ValueError, match="8x8 pixels, got 9"):
        maximize_activation(halves, "halves", [0], size=9)


def test_a_wrong_layer_is_answered_with_near_names_and_a_small_size_with_the_least(tiny):
    with pytest.raises(ValueError, match="such as second, got 'secnd'"):
        maximize_activation(tiny, "secnd", [0])
    # A 3x3 window without padding, behind a pooling by two.
    with pytest.raises(ValueError, match="at least 6 pixels for layer 'third', got 5x5"):
        maximize_activation(tiny, "third", [0], size=5)
    with pytest.raises(ValueError, match="at least 1 pixel, got 0"):
        maximize_activation(tiny, "third", [0], size=0)
    pair = [keras.Input((8, 8, 1)), keras.Input((8, 8, 1))]
    two = keras.Model(pair, layers.Add(name="sum")(pair))
    with pytest.raises(ValueError, match="one input of shape"):
        maximize_activation(two, "sum", [0])
    with pytest.raises(ValueError, match="got no graph"):
        values_before_activation(keras.Model(), "first")


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
    images = maximize_activation(stripes, "opponents", [0, 1], size=48, parameters=parameters)
    noise = np.random.default_rng(0).random((8, 48, 48, 3)).astype("float32")
    own = np.diagonal(answers(stripes, "opponents", images))
    usual = answers(stripes, "opponents", noise).mean(axis=0)
    assert (usual > 0).all()
    assert (own > 10 * usual).all(), own / usual
    # Eight waves on 48 pixels, give or take what the images are stretched and squeezed by.
    for image in (images[0], images[1].transpose(1, 0, 2)):
        energy = np.abs(np.fft.fft2(image.mean(axis=-1))) ** 2
        upright, lying = energy[0, 7:10].sum(), energy[7:10, 0].sum()
        assert upright > 10 * lying


def test_a_shut_relu_in_the_layer_or_behind_it_hides_nothing(stripes):
    shut = keras.models.clone_model(stripes)
    kernels = stripes.get_weights()[0]
    shut.get_layer("stripes").set_weights([kernels, np.full(2, -1e4)])
    image = keras.Input((None, None, 3))
    plain = layers.Conv2D(2, 9, padding="same", name="plain")
    apart = keras.Model(image, layers.ReLU(name="relu")(plain(image)))
    apart.set_weights([kernels, np.full(2, -1e4)])
    inside = maximize_activation(shut, "stripes", [0], size=36, steps=40)
    behind = maximize_activation(apart, "relu", [0], size=36, steps=40)
    np.testing.assert_array_equal(inside, behind)
    assert inside.std() > 0.1
    values = values_before_activation(shut, "stripes")(inside)
    assert ops.convert_to_numpy(ops.max(values)) < 0


def test_the_size_is_chosen_and_the_input_is_prepared(tiny):
    assert maximize_activation(tiny, "first", [0], steps=1).shape == (1, *[DEFAULT_SIZE] * 2, 3)
    images = maximize_activation(tiny, "third", [0, 1], size=10, steps=2)
    assert images.shape == (2, 10, 10, 3)
    # What darkens the first channel's picture must brighten it when the input is turned around.
    bright = keras.models.clone_model(tiny)
    kernels = np.zeros((3, 3, 3, 8))
    kernels[1, 1] = 1.0
    bright.get_layer("first").set_weights([kernels, np.zeros(8)])
    light = maximize_activation(bright, "first", [0], size=8, steps=60)
    dark = maximize_activation(bright, "first", [0], size=8, steps=60, prepare=lambda x: 1 - x)
    assert light.mean() > 0.5 > dark.mean()
    assert light.mean() > dark.mean() + 0.1


@pytest.mark.parametrize("parameters", ["waves", "pixels"])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(tiny, parameters):
    def draw(seed: int) -> np.ndarray:
        options = {"size": 12, "steps": 4, "parameters": parameters}
        return maximize_activation(tiny, "second", [1], seed=seed, **options)

    np.random.seed(1)
    first = draw(3)
    np.random.seed(2)
    np.testing.assert_array_equal(first, draw(3))
    assert np.abs(first - draw(4)).max() > 1e-3


def test_gray_images_from_waves():
    images = maximize_activation(s3_network(), "class_maps", [1], steps=20, parameters="waves")
    assert images.shape == (1, 28, 28, 1)
    assert 0.05 < images.std() < 0.5


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_the_waves_are_those_of_the_fourier_transform(size):
    basis, frequencies = fourier_basis(size)
    np.testing.assert_allclose(basis.T @ basis, np.eye(size), atol=1e-12)
    power = np.abs(np.fft.rfft(basis, axis=0)) ** 2
    found = np.fft.rfftfreq(size)[power.argmax(axis=0)]
    np.testing.assert_allclose(found, frequencies)
    # Each column is one wave alone.
    np.testing.assert_allclose(power.max(axis=0), power.sum(axis=0))


def test_images_are_inverse_transforms_of_scaled_spectra():
    # Away from 0 and 1/2 a frequency has four columns: cosine and sine, down and across.
    images = FourierImages((2, 8, 10, 1))
    images.draw_noise(0)
    image = ops.convert_to_numpy(images.images())[1, ..., 0].astype("float64")
    spectrum = np.abs(np.fft.fft2(np.log(image / (1 - image)), norm="ortho")) ** 2
    waves = ops.convert_to_numpy(images.amplitudes)[1, 3:5, 1:3, 0].astype("float64")
    frequency = np.hypot(2 / 8, 1 / 10)
    by_hand = np.square(waves * 0.25 / frequency).sum() / 2
    np.testing.assert_allclose(spectrum[2, 1] + spectrum[2, -1], by_hand, rtol=1e-4)
    # The longest wave of the longer side is the slowest: the constant counts as much.
    scale = fourier_scale(8, 10)
    assert scale[0, 0] == scale[0, 1] == scale.max() == 10
    assert fourier_scale(8, 10, power=0).min() == 1


def test_colors_have_the_covariance_of_lucid():
    matrix = color_matrix(3)
    assert np.linalg.norm(matrix, axis=0).max() == pytest.approx(1)
    noise = np.random.default_rng(0).normal(size=(100_000, 3))
    covariance = np.cov((noise @ matrix.T).T)
    np.testing.assert_allclose(
        covariance / covariance[0, 0],
        COLOR_ROOT @ COLOR_ROOT.T / (COLOR_ROOT @ COLOR_ROOT.T)[0, 0],
        atol=0.02,
    )
    # Bright pixels are bright in red, green and blue: far from independent.
    assert np.corrcoef((noise @ matrix.T).T).min() > 0.7
    np.testing.assert_array_equal(color_matrix(1), [[1]])


@pytest.mark.parametrize("kind", [FourierImages, PixelImages])
def test_parameters_can_start_from_a_picture(kind):
    picture = np.random.default_rng(0).random((9, 6, 3))
    images = kind((2, *picture.shape))
    images.copy(picture)
    copies = ops.convert_to_numpy(images.images())
    expected = np.broadcast_to(np.clip(picture, 0.02, 0.98), copies.shape)
    np.testing.assert_allclose(copies, expected, atol=1e-5)
