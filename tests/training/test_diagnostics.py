"""The diagnosis against SciPy; probabilities and layers' values by hand."""

import math
import types

import keras
import numpy as np
import pytest
from keras import layers
from scipy import stats

from evalib.training import diagnostics
from evalib.training.diagnostics import Diagnosis, DiagnosisTable


def tiny_network(*behind: keras.layers.Layer) -> keras.Sequential:
    first = [keras.Input((28, 28, 1)), layers.MaxPooling2D(4, name="small"), layers.Flatten()]
    return keras.Sequential([*first, layers.Dense(10, name="scores"), *behind, layers.Softmax()])


def test_a_diagnosis_is_binomial():
    diagnosis = Diagnosis(18_930, 0.998, 0.9925, images=10_000)
    binomial = stats.binom(10_000, 0.9925)
    assert diagnosis.standard_error == pytest.approx(binomial.std() / 10_000)
    # The score test against a share is the square root of Pearson's chi-square of the two counts.
    expected = stats.chisquare([9925, 75], [9940, 60]).statistic
    assert diagnosis.distance == pytest.approx(-math.sqrt(expected))
    assert diagnosis.is_small
    for words in ("18,930 parameters: fewer than 20,000", "99.25 % of 10,000", "1.9 standard err"):
        assert words in str(diagnosis)


@pytest.mark.parametrize(
    ("words", "shares"),
    [
        ("it underfits", [(0.90, 0.90), (0.96, 0.93)]),
        ("it overfits", [(0.97, 0.93), (1.00, 0.99)]),
        ("Too few errors", [(1.00, 0.9999), (1.00, 1.00)]),
    ],
)
def test_a_diagnosis_tells_under_from_overfitting(words, shares):
    for train, validation in shares:
        diagnosis = Diagnosis(20_000, train, validation, images=10_000)
        assert words in str(diagnosis)
        assert not diagnosis.is_small


def test_a_diagnosis_refuses_what_is_no_share():
    for wrong in ((1.1, 0.5, 10, 0.9), (0.5, math.nan, 10, 0.9), (0.5, 0.5, 0, 0.9), (0, 0, 1, 1)):
        with pytest.raises(ValueError, match="expected 1 image or more"):
            Diagnosis(1, *wrong)


def test_predictions_in_training_leave_every_weight_as_it_was(generator):
    images, labels = generator.random((1200, 28, 28, 1), dtype="float32"), np.arange(1200) % 10
    network = tiny_network(layers.BatchNormalization())
    before = network.get_weights()
    inference = diagnostics.predict(network, images)
    np.testing.assert_allclose(inference, network.predict(images, verbose=0), atol=1e-6)
    training = diagnostics.predict(network, images, training=True)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # By hand: each score minus its mean, over its spread, then the softmax.
    scores = diagnostics.layer_values(network, "scores", images).astype("float64")
    scores = (scores - scores.mean(axis=0)) / np.sqrt(scores.var(axis=0) + 1e-3)
    by_hand = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(training, by_hand, atol=1e-4)
    right = (by_hand.argmax(axis=1) == labels).mean()
    found = diagnostics.accuracy(network, (images, labels), training=True)
    assert found == pytest.approx(right, abs=0.01)


def test_layer_values_are_those_of_the_layer_in_this_model_even_inside_another(generator):
    images = generator.random((1003, 28, 28, 1), dtype="float32")
    inside = tiny_network()
    other = keras.Sequential([keras.Input((14, 14, 1)), *inside.layers[:2]])  # stacked anew
    outer = keras.Sequential([keras.Input((28, 28, 1)), layers.Rescaling(2.0), inside])
    by_hand = images.reshape(1003, 7, 4, 7, 4, 1).max(axis=(2, 4))
    for model, name, factor in ((inside, "small", 1), (outer, f"{inside.name}/small", 2)):
        found = diagnostics.layer_values(model, name, images)
        np.testing.assert_array_equal(found, factor * by_hand)
    assert diagnostics.layer_values(other, "small", images[:, ::2, ::2]).shape == (1003, 3, 3, 1)
    with pytest.raises(ValueError, match="such as small, softmax.*got 'smal'"):
        diagnostics.layer_values(inside, "smal", images)


def test_a_second_row_replaces_the_first():
    table = DiagnosisTable()
    broken, fixed = (types.SimpleNamespace(validation_accuracy=share) for share in (0.1, 0.95))
    for symptom in ("old", "a < b"):
        table.add("one", (broken, fixed), symptom=symptom, measure="m", repair="r")
    assert str(table).splitlines()[2:] == ["| one | a < b | m | r | 10.0 % → 95.0 % |"]
    assert table.cases["one"][1] is fixed
