"""Gradients against counts, formulas and weights, in every number type; nothing is left behind."""

import gc

import keras
import numpy as np
import pytest
from keras import layers, ops

from evalib.features.overlap import kernel_overlap
from evalib.networks.gradients import input_gradient, weight_gradients
from tests.networks.conftest import SETTINGS


def test_the_gradient_of_a_convolution_with_ones_is_its_overlap(generator):
    ones = layers.Conv2D(1, 3, 2, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((None, None, 1)), ones])
    gradient = input_gradient(model, generator.normal(size=(2, 12, 9, 1)))
    assert gradient.dtype == np.float32
    for image in gradient:
        np.testing.assert_array_equal(image[..., 0], kernel_overlap((12, 9), 3, 2))


def classifier() -> keras.Model:
    """One dense layer after a model inside, with everything that a training changes."""
    parts = [layers.Dropout(0.5), layers.BatchNormalization(), layers.Flatten()]
    inside = keras.Sequential([keras.Input((2, 2, 1)), *parts])
    image = keras.Input((2, 2, 1))
    return keras.Model(image, layers.Dense(3, activation="softmax", dtype="float32")(inside(image)))


IMAGES = np.random.default_rng(0).normal(size=(8, 2, 2, 1)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1])


@pytest.mark.parametrize("setting", ["float32", *SETTINGS[1:]])
def test_gradients_are_those_of_the_formula_in_every_number_type(set_keras, setting):
    """Of a softmax with cross-entropy: inputs times (probabilities - truth)."""
    set_keras(setting)
    parts = [layers.Dense(3, use_bias=False), layers.Softmax(dtype="float32")]
    model = keras.Sequential([keras.Input((4,)), *parts])
    flat, truth = IMAGES.reshape(8, 4), np.eye(3, dtype="float32")[LABELS]
    kernel = ops.convert_to_numpy(ops.cast(model.weights[0], "float32"))
    scores = np.exp(flat @ kernel)
    excess = scores / scores.sum(axis=1, keepdims=True) - truth
    (by_weight,) = weight_gradients(model, flat.tolist(), LABELS)
    entropy = lambda values: -ops.log(ops.sum(values * truth, axis=1))  # noqa: E731
    by_input = input_gradient(model, flat, output=entropy)
    assert by_weight.dtype == by_input.dtype == np.float32
    np.testing.assert_allclose(by_weight, flat.T @ excess / 8, atol=0.01)
    np.testing.assert_allclose(by_input, excess @ kernel.T, atol=0.02)


def test_looking_leaves_no_trace():
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(IMAGES, LABELS, verbose=0)
    optimizer, before = model.optimizer, [np.copy(one.numpy()) for one in model.variables]
    inner = [*model.layers, *model.layers[1].layers]

    def traces():
        gc.collect()
        alive = sum(isinstance(one, layers.Layer) for one in gc.get_objects())
        return alive, [(len(one._inbound_nodes), len(one._outbound_nodes)) for one in inner]

    first = traces()
    weight_gradients(model, IMAGES, LABELS)
    input_gradient(model, IMAGES)
    assert traces() == first
    assert model.optimizer is optimizer
    for old, variable in zip(before, model.variables, strict=True):
        np.testing.assert_array_equal(variable.numpy(), old)


@pytest.mark.parametrize("labels", [LABELS[:2], LABELS + 1, np.eye(3)[LABELS], LABELS + 0.5])
def test_images_and_labels_that_do_not_fit_are_refused(labels):
    for shape in ((2, 2, 1), (1, 2, 3, 1), (0, 2, 2, 1)):
        with pytest.raises(ValueError, match=r"images of shape \(None, 2, 2, 1\) for one input"):
            input_gradient(classifier(), np.zeros(shape))
    with pytest.raises(ValueError, match="expected 8 labels from 0 to 2, one per image"):
        weight_gradients(classifier(), IMAGES, labels)


def test_models_without_a_gradient_are_refused():
    whole = keras.Sequential([keras.Input((2, 2, 1), dtype="uint8"), layers.Rescaling(1.0)])
    with pytest.raises(ValueError, match="takes floats, got one for uint8"):
        input_gradient(whole, np.zeros((1, 2, 2, 1), "uint8"))
    scores = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    with pytest.raises(ValueError, match="does it lack a softmax"):
        weight_gradients(scores, IMAGES.reshape(8, 4), LABELS)
