"""Gradients, updates and paths against NumPy, numeric slopes and TensorFlow's gradient."""

import keras
import numpy as np
import pytest
from keras import layers

from evalib.networks.gradients import weight_gradients
from evalib.training.probes import (
    StartingPoint,
    compile_classifier,
    optimizer_path,
    track_training,
)

noise = np.random.default_rng(0)
INPUTS = noise.normal(size=(8, 5)).astype("float32")
LABELS = np.array([0, 1, 2, 2, 1, 0, 1, 2])


def small_model(*, middle: tuple[layers.Layer, ...] = ()) -> keras.Sequential:
    """Five numbers to three probabilities, with four hidden units."""
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(4, activation="relu"),
            *middle,
            layers.Dense(3, activation="softmax"),
        ]
    )


def mean_loss(weights: list[np.ndarray]) -> float:
    w1, b1, w2, b2 = (weight.astype("float64") for weight in weights)
    logits = np.maximum(INPUTS @ w1 + b1, 0) @ w2 + b2
    logits -= logits.max(axis=1, keepdims=True)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    return -logs[np.arange(len(LABELS)), LABELS].mean()


def test_gradients_are_numeric_slopes():
    model = small_model()
    before = model.get_weights()
    found = weight_gradients(model, INPUTS, LABELS)
    assert [one.shape for one in found] == [one.shape for one in before]
    for part, gradient in enumerate(found):
        for place in np.ndindex(gradient.shape):
            losses = []
            for sign in (1, -1):
                moved = [weight.astype("float64") for weight in before]
                moved[part][place] += sign * 1e-6
                losses.append(mean_loss(moved))
            assert (losses[0] - losses[1]) / 2e-6 == pytest.approx(gradient[place], abs=1e-5)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))


def bowl(x, y):
    return (x**2 + 4 * y**2) / 2


def slope_of_bowl(place: np.ndarray) -> np.ndarray:
    return place * np.array([1.0, 4.0])


def test_sgd_follows_its_formula():
    path = optimizer_path(keras.optimizers.SGD(0.1), bowl, (2.0, -1.0), 12)
    steps = np.arange(13)
    expected = np.stack([2 * 0.9**steps, -(0.6**steps)], axis=1)
    assert path.dtype == np.float32
    np.testing.assert_allclose(path, expected, atol=1e-6)


@pytest.mark.parametrize("nesterov", [False, True])
def test_momentum_follows_its_rule(nesterov):
    optimizer = keras.optimizers.SGD(0.05, momentum=0.8, nesterov=nesterov)
    place, speed, expected = np.array([2.0, -1.0]), np.zeros(2), [np.array([2.0, -1.0])]
    for _ in range(10):
        slope = slope_of_bowl(place)
        speed = 0.8 * speed - 0.05 * slope
        place = place + (0.8 * speed - 0.05 * slope if nesterov else speed)
        expected.append(place)
    path = optimizer_path(optimizer, bowl, (2.0, -1.0), 10)
    np.testing.assert_allclose(path, expected, atol=1e-5)


def test_adam_follows_its_rule():
    place, mean, square = np.array([2.0, -1.0]), np.zeros(2), np.zeros(2)
    expected = [place]
    for step in range(1, 11):
        slope = slope_of_bowl(place)
        mean, square = 0.9 * mean + 0.1 * slope, 0.999 * square + 0.001 * slope**2
        rate = 0.2 * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
        place = place - rate * mean / (np.sqrt(square) + 1e-7)
        expected.append(place)
    path = optimizer_path(keras.optimizers.Adam(0.2), bowl, (2.0, -1.0), 10)
    np.testing.assert_allclose(path, expected, atol=1e-4)


def test_a_path_needs_steps_and_a_fresh_optimizer():
    optimizer = keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="at least 1 step, got 0"):
        optimizer_path(optimizer, bowl, (1.0, 1.0), 0)
    optimizer_path(optimizer, bowl, (1.0, 1.0), 1)
    with pytest.raises(ValueError, match="expected a fresh optimizer"):
        optimizer_path(optimizer, bowl, (1.0, 1.0), 1)


def test_training_is_watched_at_its_marks():
    model = small_model()
    compile_classifier(model, keras.optimizers.SGD(0.5))
    start = StartingPoint(model)
    parts = {"all": (INPUTS, LABELS)}
    watch = track_training(
        model, (INPUTS, LABELS), [2, 0, 5, 2], batch_size=8, seed=3, score_on=parts
    )
    assert watch.marks == (0, 2, 5)
    assert watch.losses.shape == (2,)
    assert (watch.kernels[0] == start.weights[0]).all()
    assert (watch.kernels[2] == model.get_weights()[0]).all()

    # The same by hand: with all images in each batch, a step is minus rate times the gradient.
    model.set_weights(start.weights)
    losses = []
    for _ in range(5):
        losses.append(mean_loss(model.get_weights()))
        slopes = weight_gradients(model, INPUTS, LABELS)
        moved = [w - 0.5 * g for w, g in zip(model.get_weights(), slopes, strict=True)]
        model.set_weights(moved)
    np.testing.assert_allclose(watch.kernels[2], moved[0], atol=1e-5)
    np.testing.assert_allclose(watch.losses, [np.mean(losses[:2]), np.mean(losses[2:])], atol=1e-5)
    scores = watch.scores["all"]
    np.testing.assert_allclose(scores[:, 0], [losses[0], losses[2], mean_loss(moved)], atol=1e-5)
    answers = keras.ops.convert_to_numpy(model(INPUTS)).argmax(axis=1)
    assert scores[2, 1] == pytest.approx(np.mean(answers == LABELS))


def test_logits_are_taken_where_the_loss_takes_them():
    model = keras.Sequential(small_model().layers[:1] + [layers.Dense(3)])
    compile_classifier(model, keras.optimizers.SGD(0.5))
    with pytest.raises(ValueError, match="probabilities that sum to 1"):
        track_training(model, (INPUTS, LABELS), [0, 1], batch_size=8)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5), loss, metrics=["accuracy"])
    assert track_training(model, (INPUTS, LABELS), [0, 30], batch_size=8).losses[0] < 1.2


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


def test_a_start_can_be_gone_back_to():
    model = small_model()
    compile_classifier(model, keras.optimizers.Adam(0.1))
    start = StartingPoint(model)
    data = INPUTS, LABELS
    first = track_training(model, data, [0, 6], batch_size=4)
    second = track_training(model, data, [0, 6], batch_size=4)
    assert (first.kernels[0] != second.kernels[0]).any()
    start.restore()
    again = track_training(model, data, [0, 6], batch_size=4)
    assert (first.kernels[1] == again.kernels[1]).all()
    start.restore(learning_rate=0.0)
    frozen = track_training(model, data, [0, 6], batch_size=4)
    assert (frozen.kernels[1] == start.weights[0]).all()
    start.restore(weights=[weight + 1 for weight in start.weights])
    other = track_training(model, data, [0, 6], batch_size=4)
    assert (other.kernels[0] == start.weights[0] + 1).all()
    assert (other.kernels[1] != other.kernels[0]).any()  # the remembered rate is back


def test_a_training_that_cannot_be_watched_is_refused():
    model = small_model()
    compile_classifier(model, keras.optimizers.SGD(0.1))
    for marks in ([], [5], [-1, 5]):
        with pytest.raises(ValueError, match="two marks or more, from 0 up"):
            track_training(model, (INPUTS, LABELS), marks)
    for size in (0, 9):
        with pytest.raises(ValueError, match=f"batches of 1 to 8 images, got {size}"):
            track_training(model, (INPUTS, LABELS), [0, 1], batch_size=size)
    with pytest.raises(ValueError, match="labels from 0 to 2, got 1 to 3"):
        track_training(
            model, (INPUTS, LABELS), [0, 1], batch_size=4, score_on={"others": (INPUTS, LABELS + 1)}
        )
