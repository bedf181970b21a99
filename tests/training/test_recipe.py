"""The recipe: seeds to the bit, what begins anew, what stays, refusals before the first epoch."""

import dataclasses
import math
import sys
import types
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.course import s3_network
from evalib.training.recipe import Recipe, device, initialize, smooth_labels, train

SHORT = Recipe("adamw", epochs=2, batch_size=64)
STILL: dict[str, Any] = {"rotation": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0}


@pytest.fixture(scope="module")
def few(mnist):
    (x_train, y_train), (x_test, y_test) = mnist
    return (x_train[:320], y_train[:320]), (x_test[:200], y_test[:200])


def same_bits(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all((a == b).all() for a, b in zip(first, second, strict=True))


def dense(*first: layers.Layer, size: int | None = 28) -> keras.Model:
    model = keras.Sequential([keras.Input((size, size, 1)), *first])
    if not first or len(model.output_shape) == 4:
        model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(10, activation="softmax"))
    return model


def test_smoothed_labels_by_hand():
    labels = np.array([2, 0])
    smoothed = smooth_labels(labels, 4, 0.2)
    expected = [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]]
    np.testing.assert_allclose(smoothed, expected, rtol=1e-6)
    assert smooth_labels(labels, 4, 0).tolist() == [2, 0]
    for wrong in ([-1], [4], [0.5], [[0, 1]]):
        with pytest.raises(ValueError, match="expected labels"):
            smooth_labels(np.array(wrong), 4, 0.2)


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "sgd"])
def test_each_optimizer_and_choice_trains(few, optimizer):
    recipe = Recipe(optimizer, 6, batch_size=64, schedule="cosine", label_smoothing=0.1)
    network = build_network(NetworkConfig(channels=(8, 8)))
    run = train(network, recipe, few, seed=0, verbose=False)
    # The entropy of the smoothed labels is the least that the loss can be.
    least = -(0.91 * np.log(0.91) + 9 * 0.01 * np.log(0.01))
    assert least < run.history["loss"][-1] < 0.95 * run.history["loss"][0]


def test_averaging_ends_with_the_running_average_of_the_weights(few):
    """Two steps of plain gradient descent, averaged by hand from a shorter training."""
    part = (few[0][0][:64], few[0][1][:64]), few[1]
    # A warm-up so short that every step has the peak rate, however many there are.
    plain = Recipe("sgd", 2, 64, warmup_share=1e-6, schedule="constant", weight_decay=0, momentum=0)
    plain = dataclasses.replace(plain, **STILL)
    model, steps = dense(layers.Flatten()), []
    for changes in ({"epochs": 1}, {}, {"averaging": 0.6}):
        train(model, dataclasses.replace(plain, **changes), part, seed=0, verbose=False)
        steps.append(model.get_weights())
    for first, second, found in zip(*steps, strict=True):  # it starts with the first step's weights
        np.testing.assert_allclose(found, 0.6 * first + 0.4 * second, atol=1e-6)
        assert np.abs(first - second).max() > 1e-4


def test_two_trainings_with_one_seed_are_equal_to_the_bit_and_with_two_are_not(few):
    """The same object again, too: `train` must not go on from what it finds, dropout's state."""
    model = dense(layers.Conv2D(2, 5), layers.Dropout(0.5))
    runs, weights = [], []
    same: Any = np.int64(3)
    for network, seed in ((model, 3), (model, same), (keras.models.clone_model(model), 4)):
        runs.append(train(network, SHORT, few, seed=seed, verbose=False))
        weights.append(network.get_weights())
    assert same_bits(*weights[:2])
    assert runs[0].history == runs[1].history
    assert runs[0].test_accuracy == runs[1].test_accuracy
    assert not same_bits(weights[0], weights[2])
    assert not model._inbound_nodes


def test_initial_weights_are_those_of_a_network_built_after_the_seed():
    def recurrent() -> keras.Model:  # layers in layers, one of which Keras cannot build alone
        frames = [layers.Reshape((1, 28, 28, 1)), layers.ConvLSTM2D(2, 3, strides=4)]
        return dense(*frames, layers.Reshape((7, 14)), layers.Bidirectional(layers.GRU(2)))

    for build in (s3_network, lambda: build_network(NetworkConfig(dropout=0.2)), recurrent):
        model, twin = build(), build()
        initialize(model, 5)
        keras.utils.set_random_seed(5)
        assert same_bits(model.get_weights(), keras.models.clone_model(twin).get_weights())


class Scale(layers.Layer):
    """A student's layer: no get_config, a weight that is trained and one that is not."""

    def __init__(self, start):
        super().__init__()
        self.start = start

    def build(self, shape):
        self.factor = self.add_weight(shape=(shape[-1],), initializer="uniform")
        self.fixed = self.add_weight(shape=(), initializer="ones", trainable=False)

    def call(self, values):
        return values * self.factor * self.fixed


def test_what_is_frozen_or_adapted_stays_and_all_else_begins_anew(few):
    adapted, frozen = layers.Normalization(axis=None), layers.Conv2D(2, 3, name="frozen")
    adapted.adapt(few[0][0] / np.float32(255))
    inside = keras.Sequential([keras.Input((28, 28, 1)), frozen, layers.BatchNormalization()])
    half, norm = layers.Conv2D(2, 3, name="half"), layers.BatchNormalization()
    model = dense(adapted, inside, half, norm, Scale(2.0))
    inside.trainable, half.kernel.trainable = False, False
    inside.layers[1].moving_mean.assign([3.0, 4.0])
    stay = [*adapted.get_weights(), *inside.get_weights(), half.get_weights()[0]]
    half.bias.assign([5.0, 5.0])
    norm.moving_mean.assign([7.0, 7.0])
    initialize(model, 0)
    assert same_bits(stay, [*adapted.get_weights(), *inside.get_weights(), half.get_weights()[0]])
    assert not half.get_weights()[1].any()
    assert not norm.get_weights()[2].any()
    train(model, SHORT, few, seed=0, verbose=False)
    first = model.get_weights()
    assert same_bits(stay[3:9], inside.get_weights())
    train(model, SHORT, few, seed=0, verbose=False)
    assert same_bits(first, model.get_weights())


def test_weights_that_cannot_be_drawn_are_said(few):
    with pytest.raises(ValueError, match="'scale.*' of class Scale: give the class a get_config"):
        initialize(dense(Scale(lambda: 2)), 0)
    model = dense()
    model.trainable = False
    with pytest.raises(ValueError, match="expected weights to train, got none"):
        train(model, SHORT, few, 0, verbose=False)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.pool, self.last = layers.Flatten(), layers.Dense(10, activation="softmax")

    def call(self, images):
        return self.last(self.pool(images))


@pytest.mark.parametrize("kind", ["any size", "no input yet", "subclass"])
def test_networks_of_every_kind_are_trained(few, kind):
    build = {
        "any size": lambda: dense(layers.Conv2D(3, 3), size=None),
        "no input yet": lambda: keras.Sequential([layers.Flatten(), layers.Dense(10, "softmax")]),
        "subclass": Subclassed,
    }
    (images, labels), held_out = few
    data = (list(images), keras.ops.convert_to_tensor(labels.astype("float32"))), held_out
    assert train(build[kind](), SHORT, data, 0, verbose=False).history["loss"][-1] < 2.5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_number_types_are_those_of_the_network(few, policy):
    keras.config.set_dtype_policy(policy)
    try:
        network = build_network(NetworkConfig(channels=(8, 8)))
        run = train(network, Recipe(epochs=2, batch_size=64), few, 0, verbose=False)
    finally:
        keras.config.set_dtype_policy("float32")
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_on_torch_the_device_is_what_torch_sees(monkeypatch):
    """Keras lists no devices there; a stand-in responds as torch does."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    for found in (True, False):
        seen = types.SimpleNamespace(is_available=lambda found=found: found)
        torch = types.SimpleNamespace(cuda=seen, backends=types.SimpleNamespace(mps=seen))
        monkeypatch.setitem(sys.modules, "torch", torch)
        assert device() == ("gpu" if found else "cpu")


def test_a_short_training_is_scored_with_statistics_of_its_own(few):
    recipe = dataclasses.replace(SHORT, optimizer="muon", epochs=8)
    model, other = s3_network(), s3_network()
    run = train(model, recipe, few, seed=0, verbose=False)
    held_out = few[1][0][::-2], few[1][1][::-2]  # others: they are only scored
    stale = train(other, recipe, (few[0], held_out), seed=0, verbose=False, estimate=False)
    assert run.history == stale.history
    pairs = zip(model.trainable_variables, other.trainable_variables, strict=True)
    assert all((np.asarray(one) == np.asarray(two)).all() for one, two in pairs)
    assert (run.estimated_statistics, stale.estimated_statistics) == (True, False)
    assert run.test_accuracy > stale.test_accuracy + 0.2
    record = run.record()
    assert (record["parameters"], record["epochs"]) == (18_930, 8)
    assert {"python", "evalib", "keras", "numpy", keras.backend.backend()} <= set(run.versions)
    probabilities = model.predict(few[1][0][..., np.newaxis].astype("float32") / 255, verbose=0)
    right = sum(int(probabilities[i].argmax()) == few[1][1][i] for i in range(200))
    assert record["test_accuracy"] == right / 200


def test_progress_is_silent_where_nobody_watches(few, capfd):
    train(dense(), SHORT, few, seed=0, verbose=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("images", "labels", "seed"), [(50, 49, 0), (0, 0, 0), (5, 5, -1), (5, 5, 2.0)]
)
def test_what_cannot_be_trained_is_refused_before_the_first_epoch(few, images, labels, seed):
    (x, y), held_out = few
    model = dense()
    before = model.get_weights()
    with pytest.raises(ValueError, match="expected"):
        train(model, SHORT, (held_out, (x[:images], y[:labels])), seed, verbose=False)
    assert same_bits(before, model.get_weights())


WRONG: dict[str, list[Any]] = {
    **{"epochs": [0, 2.5, True], "batch_size": [0], "peak_learning_rate": [0.0, math.inf]},
    **{"rotation": [181.0, "8"], "scale": [1.0], "shear": [-0.1], "shift": [math.nan]},
    **{"moved_share": [0.0], "warmup_share": [1.0], "weight_decay": [-1.0], "momentum": [1.0]},
    **{"optimizer": ["luck"], "schedule": ["wave"], "label_smoothing": [1.0], "averaging": [-0.1]},
    **{"teacher_share": [1.5], "temperature": [0.0]},
}


@pytest.mark.parametrize("name", WRONG)
def test_recipes_that_cannot_be_are_refused(name):
    for value in WRONG[name]:
        with pytest.raises(ValueError, match="expected"):
            Recipe(**{name: value})
