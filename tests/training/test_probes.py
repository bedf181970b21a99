"""Trainings step by step in NumPy."""

import keras
import numpy as np
import pytest
from keras import layers
from scipy import special

from evalib.networks.gradients import weight_gradients
from evalib.training.probes import StartingPoint, compile_classifier, track_training

INPUTS = np.random.default_rng(0).normal(size=(8, 5)).astype("float32")
LABELS = np.array([0, 1, 2, 2, 1, 0, 1, 2])
DATA = INPUTS, LABELS


def small_model(last: str = "softmax") -> keras.Sequential:
    """Five numbers to three probabilities, with four hidden units."""
    keras.utils.set_random_seed(0)
    hidden = [keras.Input((5,)), layers.Dense(4, activation="relu")]
    return keras.Sequential([*hidden, layers.Dense(3, activation=last)])


def mean_loss(weights: list[np.ndarray]) -> float:
    w1, b1, w2, b2 = (weight.astype("float64") for weight in weights)
    logs = special.log_softmax(np.maximum(INPUTS @ w1 + b1, 0) @ w2 + b2, axis=1)
    return -logs[np.arange(len(LABELS)), LABELS].mean()


def test_training_is_watched_at_its_marks():
    model = small_model()
    compile_classifier(model, keras.optimizers.SGD(0.5))
    start = model.get_weights()
    seen = track_training(model, DATA, [2, 0, 5, 2], batch_size=8, seed=3, score_on={"all": DATA})
    assert seen.marks == (0, 2, 5)
    assert (seen.kernels[0] == start[0]).all()
    assert (seen.kernels[2] == model.get_weights()[0]).all()
    # The same by hand: with all images in each batch, a step is minus rate times the gradient.
    moved, losses = start, []
    for _ in range(5):
        model.set_weights(moved)
        losses.append(mean_loss(moved))
        slopes = weight_gradients(model, INPUTS, LABELS)
        moved = [weight - 0.5 * slope for weight, slope in zip(moved, slopes, strict=True)]
    np.testing.assert_allclose(seen.kernels[2], moved[0], atol=1e-5)
    np.testing.assert_allclose(seen.losses, [np.mean(losses[:2]), np.mean(losses[2:])], atol=1e-5)
    scores, expected = seen.scores["all"], [losses[0], losses[2], mean_loss(moved)]
    np.testing.assert_allclose(scores[:, 0], expected, atol=1e-5)
    model.set_weights(moved)
    named = keras.ops.convert_to_numpy(model(INPUTS)).argmax(axis=1)
    assert scores[2, 1] == pytest.approx(np.mean(named == LABELS))


def test_logits_are_taken_where_the_loss_takes_them():
    model = small_model(last="linear")
    compile_classifier(model, keras.optimizers.SGD(0.5))
    with pytest.raises(ValueError, match="probabilities that sum to 1"):
        track_training(model, DATA, [0, 1], batch_size=8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=["accuracy"])
    assert track_training(model, DATA, [0, 30], batch_size=8).losses[0] < 1.2


def test_every_image_is_seen_before_one_comes_again():
    seen: list[float] = []
    model = small_model()
    compile_classifier(model, keras.optimizers.SGD(0.0))
    train_on_batch = model.train_on_batch

    def note_and_train(x, y):
        seen.extend(x[:, 0])
        return train_on_batch(x, y)

    model.train_on_batch = note_and_train
    numbered = np.repeat(np.arange(8, dtype="float32")[:, np.newaxis], 5, axis=1)
    track_training(model, (numbered, LABELS), [0, 4], batch_size=3, seed=1)
    assert len(seen) == 12
    assert len(set(seen[:6])) == len(set(seen[6:])) == 6  # two are left over, and dropped
    assert seen[:6] != seen[6:]
    seen.clear()
    track_training(model, (numbered, LABELS), [0, 4], batch_size=3, seed=None)
    assert seen == [*range(6), *range(6)]


def test_a_start_can_be_gone_back_to():
    model = small_model()
    compile_classifier(model, keras.optimizers.Adam(0.1))
    start = StartingPoint(model)

    def kernels() -> list[np.ndarray]:
        return track_training(model, DATA, [0, 6], batch_size=4).kernels

    first, second = kernels(), kernels()
    assert (first[0] != second[0]).any()
    start.restore()
    assert (first[1] == kernels()[1]).all()
    start.restore(learning_rate=0.0)
    assert (kernels()[1] == start.weights[0]).all()
    start.restore(weights=[weight + 1 for weight in start.weights])
    other = kernels()
    assert (other[0] == start.weights[0] + 1).all()
    assert (other[1] != other[0]).any()  # the remembered rate is back


@pytest.mark.parametrize(
    ("marks", "options", "message"),
    [
        *[(marks, {}, "two marks or more, from 0 up") for marks in ([], [5], [-1, 5])],
        *[([0, 1], {"batch_size": n}, f"batches of 1 to 8 images, got {n}") for n in (0, 9)],
        ([0, 1], {"batch_size": 4, "score_on": {"a": (INPUTS, LABELS + 1)}}, "labels from 0 to 2"),
        ([0, 1], {"batch_size": 4, "score_on": {"a": (INPUTS[:, :2], LABELS)}}, "images of shape"),
    ],
)
def test_a_training_that_cannot_be_watched_is_refused(marks, options, message):
    model = small_model()
    compile_classifier(model, keras.optimizers.SGD(0.1))
    with pytest.raises(ValueError, match=message):
        track_training(model, DATA, marks, **options)
