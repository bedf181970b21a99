"""Waves and colors against NumPy's Fourier transform and lucid's constants."""

import numpy as np
import pytest
from keras import ops

from evalib.features.parameterization import (
    COLOR_ROOT,
    FourierImages,
    PixelImages,
    color_matrix,
    crop,
    fourier_basis,
    fourier_scale,
    wrap,
)


@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_the_waves_are_those_of_the_fourier_transform(size):
    basis, frequencies = fourier_basis(size)
    np.testing.assert_allclose(basis.T @ basis, np.eye(size), atol=1e-12)
    power = np.abs(np.fft.rfft(basis, axis=0)) ** 2
    np.testing.assert_allclose(np.fft.rfftfreq(size)[power.argmax(axis=0)], frequencies)
    np.testing.assert_allclose(power.max(axis=0), power.sum(axis=0))  # one wave alone


def test_images_are_inverse_transforms_of_scaled_spectra():
    # Away from 0 and 1/2 a frequency has four columns: cosine and sine, down and across.
    images = FourierImages((2, 8, 10, 1))
    images.draw_noise(0)
    image = ops.convert_to_numpy(images.images())[1, ..., 0].astype("float64")
    spectrum = np.abs(np.fft.fft2(np.log(image / (1 - image)), norm="ortho")) ** 2
    waves = ops.convert_to_numpy(images.values)[1, 3:5, 1:3, 0].astype("float64")
    by_hand = np.square(waves).sum() / np.hypot(2 / 8, 1 / 10) / 2  # a power of 0.5, squared
    np.testing.assert_allclose(spectrum[2, 1] + spectrum[2, -1], by_hand, rtol=1e-4)
    # The longest wave of the longer side is the slowest: the constant counts as much.
    scale = fourier_scale(8, 10)
    assert scale[0, 0] == scale[0, 1] == scale.max() == 10
    assert fourier_scale(8, 10, power=0).min() == 1


def test_colors_have_a_third_of_the_power_of_lucids_covariance(generator):
    matrix = color_matrix(3)
    assert np.linalg.norm(matrix, axis=0).max() == pytest.approx(1)
    covariance = np.linalg.matrix_power(matrix @ matrix.T, 3)
    expected = COLOR_ROOT @ COLOR_ROOT.T
    np.testing.assert_allclose(covariance / covariance[0, 0], expected / expected[0, 0])
    # Bright pixels are bright in red, green and blue: far from independent.
    assert np.corrcoef((generator.normal(size=(100_000, 3)) @ matrix.T).T).min() > 0.2
    np.testing.assert_array_equal(color_matrix(1), [[1]])


def test_waves_start_from_white_noise_in_every_color():
    images = FourierImages((1, 32, 32, 3))
    images.draw_noise(0)
    image = ops.convert_to_numpy(images.images())[0].astype("float64")
    logits = np.log(image / (1 - image))
    assert logits.std() == pytest.approx(1.2, rel=0.05)
    neighbors = np.corrcoef(logits[1:].ravel(), logits[:-1].ravel())[0, 1]
    assert abs(neighbors) < 0.05
    assert np.abs(np.corrcoef(logits.reshape(-1, 3).T) - np.eye(3)).max() < 0.1


def test_a_wrapped_image_goes_on_with_its_opposite_side(generator):
    image = generator.random((1, 16, 24, 3)).astype("float32")
    wrapped = ops.convert_to_numpy(wrap(image))
    np.testing.assert_array_equal(wrapped, np.pad(image, [(0, 0), (2, 2), (3, 3), (0, 0)], "wrap"))
    np.testing.assert_array_equal(ops.convert_to_numpy(crop(wrapped, image.shape)), image)


@pytest.mark.parametrize("kind", [FourierImages, PixelImages])
def test_parameters_can_start_from_a_picture(kind, generator):
    picture = generator.random((9, 6, 3))
    images = kind((2, *picture.shape))
    images.copy(picture)
    copies = ops.convert_to_numpy(images.images())
    expected = np.broadcast_to(np.clip(picture, 0.02, 0.98), copies.shape)
    np.testing.assert_allclose(copies, expected, atol=1e-5)
