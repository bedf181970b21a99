"""The clinic's measurements, checked by hand; and that a small training is what it says."""

import hashlib
import math

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import stats

from evalib.training import diagnostics as clinic
from evalib.training.diagnostics import Diagnosis, DiagnosisTable, TrainingRun


def tiny_network(*behind: keras.layers.Layer) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.MaxPooling2D(4, name="small"),
            layers.Flatten(),
            layers.Dense(10, name="scores"),
            *behind,
            layers.Softmax(),
        ]
    )


@pytest.fixture(scope="module")
def digits():
    (images, labels), (others, their_labels) = clinic.small_digits()
    return (images[:600], labels[:600]), (others[:400], their_labels[:400])


def case(accuracy: float) -> TrainingRun:
    return TrainingRun(tiny_network(), np.array([2.3, 0.1]), (0.1, accuracy), (0.2, accuracy))


def test_a_verdict_is_binomial():
    verdict = Diagnosis(parameters=18_930, seen=0.998, unseen=0.9925, images=10_000)
    binomial = stats.binom(10_000, 0.9925)
    assert verdict.standard_error == pytest.approx(binomial.std() / 10_000)
    # The score test against a share is the square root of Pearson's chi-square of the two counts.
    expected = stats.chisquare([9925, 75], [9940, 60]).statistic
    assert verdict.distance == pytest.approx(-math.sqrt(expected))
    assert verdict.is_small
    assert "18,930 parameters: fewer than 20,000." in str(verdict)
    assert "99.25 % of 10,000 unseen images right, with a standard error of 0.09 %" in str(verdict)
    assert "1.9 standard errors below 99.4 %, too close to tell from luck." in str(verdict)


@pytest.mark.parametrize(
    ("seen", "unseen", "underfits", "overfits", "words"),
    [
        (0.90, 0.90, True, False, "it underfits"),
        (0.96, 0.93, True, False, "it underfits"),
        (0.97, 0.93, False, True, "it overfits"),
        (1.00, 0.99, False, True, "it overfits"),
        (1.00, 0.9999, False, False, "too few errors"),
        (1.00, 1.00, False, False, "too few errors"),
    ],
)
def test_a_verdict_tells_under_from_overfitting(seen, unseen, underfits, overfits, words):
    verdict = Diagnosis(parameters=20_000, seen=seen, unseen=unseen, images=10_000)
    assert (verdict.underfits, verdict.overfits) == (underfits, overfits)
    assert words in verdict.advice()
    assert "20,000 parameters: not fewer than 20,000." in str(verdict)
    assert math.isfinite(verdict.distance)


@pytest.mark.parametrize(
    "wrong", [{"images": 0}, {"seen": 1.1}, {"unseen": float("nan")}, {"target": 1.0}]
)
def test_a_verdict_refuses_what_is_no_share(wrong):
    with pytest.raises(ValueError, match="expected"):
        Diagnosis(**{"parameters": 1, "seen": 0.5, "unseen": 0.5, "images": 10, **wrong})


def test_the_small_digits_are_apart_and_ready():
    (images, labels), (others, their_labels) = clinic.small_digits()
    assert images.shape == (6_000, 28, 28, 1)
    assert others.shape == (4_000, 28, 28, 1)
    assert (images.min(), images.max(), images.dtype) == (0, 1, np.float32)
    assert not clinic.duplicated_in(images, others).any()
    # Each class gives its share: the two parts have the same mixture.
    mixture, their_mixture = (np.bincount(part) / len(part) for part in (labels, their_labels))
    np.testing.assert_allclose(mixture, their_mixture, atol=1e-3)


def test_a_case_learns_and_scores_as_keras_does(digits):
    data, unseen = digits
    ended = clinic.train_small(tiny_network(), data, unseen, steps=60, learning_rate=0.03)
    assert ended.losses.shape == (60,)
    assert ended.losses[0] == pytest.approx(math.log(10), abs=0.5)
    assert ended.losses[-10:].mean() < 1
    for found, part in ((ended.seen, data), (ended.unseen, unseen)):
        expected = ended.model.evaluate(*part, verbose=0)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert f"{100 * ended.unseen[1]:.1f} % of unseen ones" in str(ended)


def test_the_first_loss_is_that_of_the_first_batch(digits):
    data, unseen = digits
    network = tiny_network()
    ended = clinic.train_small(
        network, data, unseen, steps=1, batch_size=50, shuffle=False, learning_rate=1e-9
    )
    answers = clinic.predict(network, data[0][:50])
    expected = -np.log(answers[np.arange(50), data[1][:50]]).mean()
    assert ended.losses[0] == pytest.approx(expected, abs=1e-4)


def test_without_shuffling_batches_follow_the_order_and_begin_again(digits):
    # Twice the same pass without learning: the second repeats the losses of the first.
    data, unseen = digits
    in_order, shuffled = (
        clinic.train_small(
            tiny_network(),
            data,
            unseen,
            steps=8,
            batch_size=150,
            learning_rate=1e-12,
            shuffle=shuffle,
        )
        for shuffle in (False, True)
    )
    np.testing.assert_allclose(in_order.losses[:4], in_order.losses[4:], atol=1e-5)
    assert np.abs(shuffled.losses[:4] - shuffled.losses[4:]).max() > 1e-4
    assert shuffled.losses[:4].mean() == pytest.approx(shuffled.losses[4:].mean(), abs=1e-5)


def test_the_same_seed_gives_the_same_case(digits):
    runs = [clinic.train_small(tiny_network(), *digits, steps=5, seed=seed) for seed in (3, 3, 4)]
    np.testing.assert_array_equal(runs[0].losses, runs[1].losses)
    assert (runs[0].losses != runs[2].losses).any()


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"batch_size": 0}, {"batch_size": 601}])
def test_a_case_refuses_what_it_cannot_do(digits, wrong):
    with pytest.raises(ValueError, match="expected"):
        clinic.train_small(tiny_network(), *digits, **wrong)


def test_answers_in_training_leave_every_weight_as_it_was(digits):
    (images, labels), _ = digits
    network = tiny_network(layers.BatchNormalization())
    before = network.get_weights()
    inference = clinic.predict(network, images)
    np.testing.assert_allclose(inference, network.predict(images, verbose=0), atol=1e-6)
    training = clinic.predict(network, images, training=True)
    for old, new in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # By hand: each score minus its mean, over its spread, then the softmax.
    scores = clinic.layer_values(network, "scores", images).astype("float64")
    scores = (scores - scores.mean(axis=0)) / np.sqrt(scores.var(axis=0) + 1e-3)
    by_hand = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(training, by_hand, atol=1e-4)
    right = (by_hand.argmax(axis=1) == labels).mean()
    assert clinic.accuracy(network, (images, labels), training=True) == pytest.approx(
        right, abs=0.01
    )


def test_layer_values_are_those_of_the_layer():
    images = np.random.default_rng(0).random((1003, 28, 28, 1), dtype="float32")
    pooled = clinic.layer_values(tiny_network(), "small", images)
    by_hand = images.reshape(1003, 7, 4, 7, 4, 1).max(axis=(2, 4))
    np.testing.assert_array_equal(pooled, by_hand)
    assert isinstance(pooled, np.ndarray)
    assert not ops.is_tensor(pooled)


def test_silent_values_are_never_above_zero():
    values = np.array([[[0.0, -1.0], [0.0, 2.0]], [[0.0, -3.0], [1.0, -1.0]]])
    assert clinic.dead_unit_fraction(values) == 0.5


def test_the_nearest_mean_by_hand():
    # Means 1 and 9. The last of the zeros lies at 6, nearer to 9.
    images = np.array([-2.0, -1.0, 6.0, 8.0, 10.0])[:, np.newaxis]
    labels = np.array([0, 0, 0, 1, 1])
    assert clinic.nearest_centroid_accuracy(images, labels) == pytest.approx(4 / 5)
    pairs = np.abs(images - np.array([1.0, 9.0])).argmin(axis=1)
    assert (pairs == labels).mean() == pytest.approx(4 / 5)


def test_equal_images_are_found_and_almost_equal_ones_are_not():
    others = np.random.default_rng(0).integers(0, 256, (5, 4, 4), dtype=np.uint8)
    images = others[[3, 3, 0]].copy()
    images[1, 2, 2] ^= 1
    assert clinic.duplicated_in(images, others).tolist() == [True, False, True]
    assert hashlib.sha256(images[0].tobytes()).digest() == hashlib.sha256(others[3]).digest()
    with pytest.raises(ValueError, match=r"expected images of \(4, 4\) uint8, got \(4, 4\) float"):
        clinic.duplicated_in(images / 255, others)


def test_notes_are_a_table_and_a_second_note_replaces_the_first():
    notes = DiagnosisTable()
    for symptom in ("old", "a < b"):
        notes.add("one", (case(0.1), case(0.95)), symptom=symptom, measure="m", repair="r")
    assert notes.rows == [("one", "a < b", "m", "r", "10.0 % → 95.0 %")]
    assert str(notes).splitlines()[:2] == ["one", "  symptom: a < b"]
    drawn = notes._repr_html_()
    assert drawn.count("<th ") == len(DiagnosisTable.HEADINGS)
    assert ">a &lt; b</td>" in drawn
    assert notes.cases["one"][1].unseen[1] == 0.95
