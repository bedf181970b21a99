"""Scores by counting, statistics by hand, and data that fit or are refused before any work."""

import warnings

import keras
import numpy as np
import pytest
from keras import layers, ops

from evalib.training import scoring
from evalib.training.scoring import check_fit, estimate_statistics, loss_and_accuracy, score


def identity() -> keras.Model:
    """Image i of `np.eye(4)` has the class i."""
    inputs = keras.Input((2, 2, 1))
    return keras.Model(inputs, layers.Softmax()(layers.Flatten()(inputs)))


IMAGES = np.eye(4, dtype="float32").reshape(4, 2, 2, 1)


@pytest.mark.parametrize("convert", [list, ops.convert_to_tensor, np.float64])
def test_the_score_counts_and_averages_whatever_holds_the_numbers(convert):
    accuracy, loss = score(identity(), convert(IMAGES), convert(np.array([0, 1, 2, 0])))
    assert accuracy == 0.75
    # The softmax of (1, 0, 0, 0) is e / (e + 3) and three times 1 / (e + 3).
    assert loss == pytest.approx(np.log(np.e + 3) - 0.75, rel=1e-6)
    # NaN names nothing right.
    assert loss_and_accuracy(np.array([[1.0, 0.0], [np.nan, 0.5]]), np.zeros(2, int))[1] == 0.5


def test_color_images_are_scaled_as_gray_ones_are(generator):
    gray = generator.integers(0, 256, (3, 5, 4), dtype=np.uint8)
    found = scoring.scale_images(np.stack([gray, 255 - gray], axis=-1))
    np.testing.assert_allclose(found, np.stack([gray / 255, 1 - gray / 255], axis=-1), atol=1e-6)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 3, 2, 1)), np.zeros(4, int), r"expected images of shape .*\(4, 3, 2, 1\)"),
        (IMAGES, np.zeros(3, int), r"expected labels of shape \(4,\)"),
        (IMAGES, np.eye(4), r"got \(4, 4\); of one-hot labels take argmax"),
        (IMAGES, np.array([0, 1, 2, 4]), "from 0 to 3, got 0 to 4"),
        (IMAGES, np.array([0, 0.5, 2, np.nan]), "whole numbers"),
        (IMAGES, ["a", "b", "c", "d"], "integers or floats"),
    ],
)
def test_data_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        check_fit(identity(), images, labels)


def test_labels_of_every_kind_become_integers():
    for labels in ([0.0, 1.0, 2.0, 3.0], np.array([[0], [1], [2], [3]]), np.arange(4, dtype="u1")):
        found = check_fit(identity(), IMAGES, labels)[1]
        assert (found.dtype, found.tolist()) == (np.int64, [0, 1, 2, 3])
    assert check_fit(identity(), IMAGES, [True, False, True, True])[1].tolist() == [1, 0, 1, 1]


def test_what_is_no_probability_is_not_scored_as_one():
    for last in ("linear", "sigmoid", "relu"):
        units = layers.Dense(4, last, bias_initializer="ones")
        model = keras.Sequential([keras.Input((2, 2, 1)), layers.Flatten(), units])
        with pytest.raises(ValueError, match="probabilities that sum to 1, got .* softmax"):
            score(model, IMAGES, np.zeros(4, int))
    single = keras.Sequential([layers.Flatten(), layers.Dense(1, "sigmoid")])
    with pytest.raises(ValueError, match=r"\(n, classes\) for two classes or more, got \(4, 1\)"):
        check_fit(single, IMAGES, np.zeros(4, int))


def normalized(*hidden: layers.Layer) -> keras.Model:
    inside = keras.Sequential([keras.Input((2, 2, 1)), layers.BatchNormalization(name="norm")])
    last = layers.Flatten(), layers.Softmax()
    return keras.Sequential([keras.Input((2, 2, 1)), inside, *hidden, *last])


def test_statistics_are_the_means_over_batches_and_nothing_else_changes(generator):
    images = generator.random((1203, 2, 2, 1)).astype("float32")
    model = normalized(layers.Conv2D(1, 1), layers.SpectralNormalization(layers.Conv2D(1, 1)))
    norm = model.layers[0].get_layer("norm")
    norm.momentum = 0.9
    before = model.get_weights()
    estimate_statistics(model, images)
    batches = np.array_split(images, 3)
    np.testing.assert_allclose(norm.get_weights()[2], [np.mean(images)], rtol=1e-5)
    expected = np.mean([batch.var() for batch in batches])
    np.testing.assert_allclose(norm.get_weights()[3], [expected], rtol=1e-3)
    for old, new in zip(before[4:], model.get_weights()[4:], strict=True):
        np.testing.assert_array_equal(old, new)
    assert norm.momentum == 0.9
    norm.trainable = False
    before = norm.get_weights()
    estimate_statistics(model, images / 2)
    assert all((a == b).all() for a, b in zip(before, norm.get_weights(), strict=True))


def test_a_score_with_young_averages_is_not_given_silently(generator):
    images, labels = generator.random((64, 2, 2, 1)).astype("float32"), np.arange(64) % 4
    model = normalized()
    model.compile("sgd", "sparse_categorical_crossentropy")
    assert scoring.steps_needed(model) == pytest.approx(np.log(0.01) / np.log(0.99))
    with warnings.catch_warnings(action="error", category=UserWarning):
        score(model, images, labels)
        model.fit(images, labels, verbose=0)
    with pytest.warns(UserWarning, match="after 2 steps the moving averages"):
        score(model, images, labels)
    estimate_statistics(model, images)
    with warnings.catch_warnings(action="error", category=UserWarning):
        score(model, images, labels)
