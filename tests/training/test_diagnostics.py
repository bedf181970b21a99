"""The diagnosis against SciPy, measurements by hand; and that a small training is what it says."""

import math
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers
from scipy import stats

from evalib.training import diagnostics
from evalib.training.diagnostics import Diagnosis, DiagnosisTable, TrainingRun


def tiny_network(*behind: keras.layers.Layer) -> keras.Model:
    scores = [
        layers.MaxPooling2D(4, name="small"),
        layers.Flatten(),
        layers.Dense(10, name="scores"),
    ]
    return keras.Sequential([keras.Input((28, 28, 1)), *scores, *behind, layers.Softmax()])


@pytest.fixture(scope="module")
def digits():
    (images, labels), (others, their_labels) = diagnostics.small_digits()
    return (images[:600], labels[:600]), (others[:400], their_labels[:400])


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
    ("train", "validation", "underfits", "overfits", "words"),
    [
        (0.90, 0.90, True, False, "it underfits"),
        (0.96, 0.93, True, False, "it underfits"),
        (0.97, 0.93, False, True, "it overfits"),
        (1.00, 0.99, False, True, "it overfits"),
        (1.00, 0.9999, False, False, "Too few errors"),
        (1.00, 1.00, False, False, "Too few errors"),
    ],
)
def test_a_diagnosis_tells_under_from_overfitting(train, validation, underfits, overfits, words):
    diagnosis = Diagnosis(20_000, train, validation, images=10_000)
    assert (diagnosis.underfits, diagnosis.overfits) == (underfits, overfits)
    assert words in str(diagnosis)
    assert not diagnosis.is_small
    assert math.isfinite(diagnosis.distance)


@pytest.mark.parametrize(
    "wrong",
    [{"images": 0}, {"train_accuracy": 1.1}, {"validation_accuracy": math.nan}, {"target": 1.0}],
)
def test_a_diagnosis_refuses_what_is_no_share(wrong):
    values = {"parameters": 1, "train_accuracy": 0.5, "validation_accuracy": 0.5, "images": 10}
    with pytest.raises(ValueError, match="expected"):
        Diagnosis(**{**values, **wrong})


def test_the_small_digits_are_apart_and_ready():
    (images, labels), (others, their_labels) = diagnostics.small_digits()
    assert images.shape == (6_000, 28, 28, 1)
    assert others.shape == (4_000, 28, 28, 1)
    assert (images.min(), images.max(), images.dtype) == (0, 1, np.float32)
    assert not diagnostics.duplicated_in(images, others).any()
    # Each class gives its share: the two parts have the same mixture.
    mixture, their_mixture = (np.bincount(part) / len(part) for part in (labels, their_labels))
    np.testing.assert_allclose(mixture, their_mixture, atol=1e-3)


def test_a_small_training_learns_repeats_and_scores_as_keras_does(digits):
    options: dict[str, Any] = {"steps": 60, "learning_rate": 0.03}
    model = tiny_network()
    run, again, other = (
        diagnostics.train_small(model, *digits, seed=seed, **options) for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(run.losses, again.losses)
    assert (run.losses != other.losses).any()
    assert run.losses[0] == pytest.approx(math.log(10), abs=0.5)
    assert run.losses[-10:].mean() < 1
    found = (
        (other.train_loss, other.train_accuracy),
        (other.validation_loss, other.validation_accuracy),
    )
    for pair, part in zip(found, digits, strict=True):
        np.testing.assert_allclose(pair, model.evaluate(*part, verbose=0), atol=1e-5)
    assert f"{100 * other.validation_accuracy:.1f} % of unseen ones" in str(other)


def test_without_shuffling_batches_follow_the_order_and_begin_again(digits):
    # Twice the same pass without learning: the second repeats the losses of the first.
    in_order, shuffled = (
        diagnostics.train_small(
            tiny_network(), *digits, steps=8, batch_size=150, learning_rate=1e-12, shuffle=shuffle
        )
        for shuffle in (False, True)
    )
    (images, labels), _ = digits
    first = diagnostics.predict(in_order.model, images[:150])
    expected = -np.log(first[np.arange(150), labels[:150]]).mean()
    assert in_order.losses[0] == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(in_order.losses[:4], in_order.losses[4:], atol=1e-5)
    assert np.abs(shuffled.losses[:4] - shuffled.losses[4:]).max() > 1e-4
    assert shuffled.losses[:4].mean() == pytest.approx(shuffled.losses[4:].mean(), abs=1e-5)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": 0}, {"batch_size": 601}])
def test_a_small_training_refuses_what_it_cannot_do(digits, wrong):
    with pytest.raises(ValueError, match="expected"):
        diagnostics.train_small(tiny_network(), *digits, **wrong)
    with pytest.raises(ValueError, match="labels"):
        diagnostics.train_small(tiny_network(), digits[0], (digits[1][0], digits[0][1]))


def test_predictions_in_training_leave_every_weight_as_it_was(digits):
    (images, labels), _ = digits
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


def test_layer_values_are_those_of_the_layer_in_this_model_even_inside_another():
    images = np.random.default_rng(0).random((1003, 28, 28, 1), dtype="float32")
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


def test_equal_images_are_found_and_almost_equal_ones_are_not():
    others = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    images = others[[3, 3, 0]].copy()
    images[1, 2, 2] ^= 1
    assert diagnostics.duplicated_in(images, others).tolist() == [True, False, True]
    with pytest.raises(ValueError, match=r"expected images of \(4, 4\) uint8, got \(4, 4\) float"):
        diagnostics.duplicated_in(images / 255, others)


def test_a_second_row_replaces_the_first():
    table = DiagnosisTable()
    cases = [TrainingRun(tiny_network(), np.ones(2), 0.1, a, 0.2, a) for a in (0.1, 0.95)]
    for symptom in ("old", "a < b"):
        table.add("one", (cases[0], cases[1]), symptom=symptom, measure="m", repair="r")
    assert table.rows == [("one", "a < b", "m", "r", "10.0 % → 95.0 %")]
    assert str(table).splitlines()[2] == "| one | a < b | m | r | 10.0 % → 95.0 % |"
    assert table.cases["one"][1].validation_accuracy == 0.95
