"""The recipe: seeds to the bit, what begins anew, what stays, refusals before the first epoch."""

import dataclasses
import math
import statistics
import sys
import time
import types
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import evalib
from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.course import s3_network
from evalib.training.recipe import Recipe, device, initialize, smooth_labels, train, versions

SHORT = Recipe(epochs=2, batch_size=64)
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
    assert smooth_labels(labels, 4, 0) is labels


@pytest.mark.parametrize("optimizer", ["muon", "adamw", "sgd"])
def test_each_optimizer_and_choice_trains(few, optimizer):
    recipe = dataclasses.replace(
        SHORT, optimizer=optimizer, epochs=6, schedule="cosine", label_smoothing=0.1
    )
    run = train(s3_network(), recipe, few, seed=0, verbose=False)
    # The entropy of the smoothed labels is the least that the loss can be.
    least = -(0.91 * np.log(0.91) + 9 * 0.01 * np.log(0.01))
    assert least < run.history["loss"][-1] < 0.8 * run.history["loss"][0]


def test_averaging_ends_with_the_running_average_of_the_weights(few):
    """Three steps of plain gradient descent, averaged by hand from three shorter trainings."""
    part = (few[0][0][:64], few[0][1][:64]), few[1]
    # A warm-up so short that every step has the peak rate, however many there are.
    plain = Recipe("sgd", 3, 64, warmup_share=1e-6, schedule="constant", weight_decay=0, momentum=0)
    plain = dataclasses.replace(plain, **STILL)
    model = build_network(NetworkConfig(channels=(4,), normalize=False))
    steps = []
    for epochs in (1, 2, 3):
        train(model, dataclasses.replace(plain, epochs=epochs), part, seed=0, verbose=False)
        steps.append(model.get_weights())
    average = steps[0]  # it starts with the weights after the first step
    for weights in steps[1:]:
        average = [0.6 * old + 0.4 * new for old, new in zip(average, weights, strict=True)]
    train(model, dataclasses.replace(plain, averaging=0.6), part, seed=0, verbose=False)
    for found, expected in zip(model.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_two_trainings_with_one_seed_are_equal_to_the_bit_and_with_two_are_not(few):
    """The same object again, too: `train` must not go on from what it finds, dropout's state."""
    model = build_network(NetworkConfig(channels=(4,), dropout=0.5))
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


@pytest.mark.parametrize(
    "build",
    [
        lambda: dense(layers.Conv2D(3, 3), size=None),
        lambda: keras.Sequential([layers.Flatten(), layers.Dense(10, activation="softmax")]),
        Subclassed,
    ],
    ids=["any size", "no input yet", "subclass"],
)
def test_networks_of_every_kind_are_trained(few, build):
    (images, labels), held_out = few
    data = (list(images), keras.ops.convert_to_tensor(labels.astype("float32"))), held_out
    assert train(build(), SHORT, data, 0, verbose=False).history["loss"][-1] < 2.5


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float64"])
def test_number_types_are_those_of_the_network(few, policy):
    keras.config.set_dtype_policy(policy)
    try:
        run = train(s3_network(), SHORT, few, 0, verbose=False)
    finally:
        keras.config.set_dtype_policy("float32")
    assert run.history["loss"][-1] < run.history["loss"][0]


def test_color_images_are_scaled_as_gray_ones_are(few):
    color = [(np.stack([images] * 3, axis=-1), labels) for images, labels in few]
    recipe = dataclasses.replace(SHORT, **STILL)
    model = keras.Sequential(
        [keras.Input((28, 28, 3)), layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    assert train(model, recipe, color, 0, verbose=False).test_accuracy > 0.4


def test_on_torch_the_device_is_what_torch_sees(monkeypatch):
    """Keras lists no devices there; a stand-in responds as torch does."""
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    none = types.SimpleNamespace(is_available=lambda: False)
    for found in (True, False):
        seen = types.SimpleNamespace(is_available=lambda found=found: found)
        torch = types.SimpleNamespace(cuda=seen, backends=types.SimpleNamespace(mps=none))
        monkeypatch.setitem(sys.modules, "torch", torch)
        assert device() == ("gpu" if found else "cpu")


def test_versions_are_those_that_are_imported():
    found = versions()
    assert (found["keras"], found["evalib"]) == (keras.__version__, evalib.__version__)
    assert {"python", "numpy", keras.backend.backend()} <= set(found)


def test_a_short_training_is_scored_with_statistics_of_its_own(few):
    recipe = dataclasses.replace(SHORT, epochs=8)
    model = s3_network()
    run = train(model, recipe, few, seed=0, verbose=False)
    stale = train(s3_network(), recipe, few, seed=0, verbose=False, estimate=False)
    assert run.history == stale.history
    assert (run.estimated_statistics, stale.estimated_statistics) == (True, False)
    assert run.test_accuracy > stale.test_accuracy + 0.2
    record = run.record()
    assert (record["parameters"], record["epochs"]) == (18_930, 8)
    probabilities = model.predict(few[1][0][..., np.newaxis].astype("float32") / 255, verbose=0)
    right = sum(int(probabilities[i].argmax()) == few[1][1][i] for i in range(200))
    assert record["test_accuracy"] == right / 200


def test_the_held_out_images_are_never_trained_on(few):
    (x_train, y_train), (x_test, y_test) = few
    model = s3_network()
    train(model, SHORT, few, seed=0, verbose=False)
    expected = model.get_weights()
    train(model, SHORT, ((x_train, y_train), (255 - x_test, y_test[::-1])), seed=0, verbose=False)
    assert same_bits(expected, model.get_weights())


@pytest.mark.skipif(keras.backend.backend() == "torch", reason="there it costs three quarters")
def test_the_augmentation_costs_less_than_a_fifth_of_a_training_step(mnist):
    images = mnist[0][0][:256, ..., np.newaxis].astype("float32") / 255
    labels = mnist[0][1][:256]
    models = {
        "plain": keras.Sequential([keras.Input((28, 28, 1)), s3_network()]),
        "moving": keras.Sequential(
            [keras.Input((28, 28, 1)), Recipe().augmentation(), s3_network()]
        ),
    }
    seconds: dict[str, list[float]] = {name: [] for name in models}
    for turn in range(31):  # in turn, so that a slow moment of the machine meets both
        for name, model in models.items():
            if not turn:
                model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
                model.train_on_batch(images, labels)
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            seconds[name].append(time.perf_counter() - start)
    with_it, without = statistics.median(seconds["moving"]), statistics.median(seconds["plain"])
    assert (with_it - without) / with_it < 0.2


def test_progress_is_silent_where_nobody_watches(few, capfd):
    train(dense(), SHORT, few, seed=0, verbose=True)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("images", "labels", "seed"),
    [
        (slice(0, 50), slice(0, 49), 0),
        (slice(0, 0), slice(0, 0), 0),
        (slice(0, 5), slice(0, 5), -1),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_epoch(few, images, labels, seed):
    (x, y), held_out = few
    model = dense()
    before = model.get_weights()
    with pytest.raises(ValueError, match="expected"):
        train(model, SHORT, (held_out, (x[images], y[labels])), seed, verbose=False)
    assert same_bits(before, model.get_weights())


@pytest.mark.parametrize(
    "wrong",
    [
        *({"epochs": 0}, {"epochs": 2.5}, {"epochs": True}, {"batch_size": 0}),
        *({"peak_learning_rate": 0.0}, {"peak_learning_rate": math.inf}, {"rotation": 181.0}),
        *({"rotation": "8"}, {"scale": 1.0}, {"shear": -0.1}, {"shift": math.nan}),
        *({"moved_share": 0.0}, {"warmup_share": 1.0}, {"weight_decay": -1.0}, {"momentum": 1.0}),
        *({"optimizer": "luck"}, {"schedule": "wave"}, {"label_smoothing": 1.0}),
        *({"averaging": -0.1}, {"teacher_share": 1.5}, {"temperature": 0.0}),
    ],
)
def test_recipes_that_cannot_be_are_refused(wrong):
    with pytest.raises(ValueError, match="expected"):
        Recipe(**wrong)


def test_numbers_of_numpy_become_plain_ones():
    values: dict[str, Any] = {"epochs": np.int64(3), "rotation": np.float32(4)}
    recipe = Recipe(**values)
    assert (type(recipe.epochs), type(recipe.rotation)) == (int, float)
    assert recipe == Recipe(epochs=3, rotation=4)
