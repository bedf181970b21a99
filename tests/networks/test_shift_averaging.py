"""The average over shifts against a loop that shifts with NumPy."""

import keras
import numpy as np
import pytest
from keras import layers

from evalib.networks.course import bsconv_network
from evalib.networks.folding import shift_average

CROSS = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]


def by_loop(network, images, reach, cross):
    """The softmax of the mean logarithm, one shift after the other."""
    steps = range(-reach, reach + 1)
    shifts = [(reach * down, reach * right) for down, right in CROSS]
    shifts = shifts if cross else [(down, right) for down in steps for right in steps]
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    size = images.shape[1]
    logarithms = []
    for down, right in shifts:
        top, left = reach + down, reach + right
        view = padded[:, top : top + size, left : left + size]
        logarithms.append(np.log(network.predict(view, verbose=0).astype(float)))
    products = np.exp(np.mean(logarithms, axis=0))
    return products / products.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(("reach", "cross"), [(1, False), (1, True), (2, False), (2, True)])
def test_the_average_is_that_of_a_loop(generator, tmp_path, reach, cross):
    network = bsconv_network(3, 4, 2)
    images = generator.random((5, 28, 28, 1), dtype=np.float32)
    averaged = shift_average(network, reach, cross)
    assert averaged.count_params() == network.count_params()
    found = averaged.predict(images, verbose=0)
    np.testing.assert_allclose(found, by_loop(network, images, reach, cross), atol=1e-6)
    averaged.save(tmp_path / "averaged.keras")
    loaded = keras.models.load_model(tmp_path / "averaged.keras")
    np.testing.assert_array_equal(loaded.predict(images, verbose=0), found)


def test_a_probability_of_zero_is_no_obstacle():
    """The pixel in the middle decides, so strongly that the other class underflows."""
    middle = layers.Cropping2D(1)
    head = [layers.Flatten(), layers.Dense(2, activation="softmax", use_bias=False)]
    network = keras.Sequential([keras.Input((3, 3, 1)), middle, *head])
    network.set_weights([np.array([[0.0, 300.0]])])
    image = np.zeros((1, 3, 3, 1), "float32")
    image[0, 1, 1] = 1
    assert network.predict(image, verbose=0).tolist() == [[0, 1]]
    # Eight views are even, and one says e ** -85 at least: their mean says e ** -9.
    assert shift_average(network).predict(image, verbose=0)[0, 1] == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("parts", "reach", "message"),
    [
        ([keras.Input((9,)), layers.Dense(2, activation="softmax")], 1, r"shape \(None, 9\)"),
        ([keras.Input((9, 9, 1)), layers.Conv2D(2, 3, name="logits")], 1, "ends in logits"),
        ([layers.Dense(2, activation="softmax")], 1, "without one"),
        ([keras.Input((9, 9, 1)), layers.Softmax()], 0, r"whole numbers as reach, got \[0\]"),
    ],
)
def test_what_cannot_be_averaged_is_refused(parts, reach, message):
    with pytest.raises(ValueError, match=message):
        shift_average(keras.Sequential(parts), reach)
