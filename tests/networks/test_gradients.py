"""The gradient of a model by its input: against counts, against weights, and nothing is altered."""

import keras
import numpy as np
import pytest
from keras import layers

from evalib.features.overlap import kernel_overlap
from evalib.networks.gradients import input_gradient


def test_the_gradient_of_a_convolution_with_ones_is_its_coverage():
    model = keras.Sequential(
        [keras.Input((12, 9, 1)), layers.Conv2D(1, 3, 2, kernel_initializer="ones")]
    )
    gradient = input_gradient(model, np.random.default_rng(0).normal(size=(2, 12, 9, 1)))
    assert gradient.shape == (2, 12, 9, 1)
    assert gradient.dtype == np.float32
    for image in gradient:
        np.testing.assert_array_equal(image[..., 0], kernel_overlap((12, 9), 3, 2))


def test_the_gradient_leaves_weights_alone_and_is_that_of_inference():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((4, 4, 2)), layers.Flatten(), layers.Dropout(0.9), layers.Dense(1)]
    )
    before = [np.array(weights) for weights in model.get_weights()]
    gradient = input_gradient(model, np.zeros((3, 4, 4, 2)))
    np.testing.assert_allclose(gradient[1].ravel(), before[0][:, 0], rtol=1e-6)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert model.layers[-1].trainable


@pytest.mark.parametrize("shape", [(4, 4, 1), (1, 5, 4, 1), (0, 4, 4, 1)])
def test_images_that_do_not_fit_are_refused(shape):
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(1, 3)])
    with pytest.raises(ValueError, match="expected images of shape"):
        input_gradient(model, np.zeros(shape))
