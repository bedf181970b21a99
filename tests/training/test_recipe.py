"""The recipe: schedule by arithmetic, seeds to the bit, scores by counting."""

import dataclasses
import math
import statistics
import sys
import time
import types
from importlib import metadata

import keras
import numpy as np
import pytest

from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.course import baseline_network, s3_network
from evalib.training.recipe import (
    Recipe,
    WarmupDecay,
    check_fit,
    device,
    initialize,
    score,
    smooth_labels,
    train,
    versions,
)

SHORT = Recipe(epochs=2, batch_size=64)


@pytest.fixture(scope="module")
def few(mnist):
    (x_train, y_train), (x_test, y_test) = mnist
    return (x_train[:320], y_train[:320]), (x_test[:200], y_test[:200])


def same_bits(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all((a == b).all() for a, b in zip(first, second, strict=True))


def test_the_rate_rises_to_its_peak_and_falls_to_zero_in_straight_lines():
    schedule = WarmupDecay(peak=0.01, steps=100, warmup_share=0.2)
    rates = np.array([float(schedule(step)) for step in range(100)])
    assert rates.argmax() == 19
    np.testing.assert_allclose(rates[19], 0.01, rtol=1e-5)
    np.testing.assert_allclose(np.diff(rates[:20]), 0.01 / 20, rtol=1e-3)
    np.testing.assert_allclose(np.diff(rates[19:]), -0.01 / 80, rtol=1e-3)
    assert rates[-1] == pytest.approx(0, abs=1e-8)


def test_the_cosine_is_half_a_wave_and_a_constant_does_not_fall():
    rates = {
        shape: np.array([float(WarmupDecay(0.01, 100, 0.2, shape)(i)) for i in range(100)])
        for shape in ("linear", "cosine", "constant")
    }
    for values in rates.values():
        np.testing.assert_allclose(values[:20], rates["linear"][:20], rtol=1e-6)
    wave = 0.005 * (1 + np.cos(np.pi * np.arange(81) / 80))
    np.testing.assert_allclose(rates["cosine"][19:], wave, atol=1e-8)
    np.testing.assert_allclose(rates["constant"][19:], 0.01, rtol=1e-6)


@pytest.mark.parametrize("shape", ["linear", "cosine"])
def test_the_schedule_survives_saving(shape):
    schedule = WarmupDecay(0.01, 100, 0.2, shape)
    twin = WarmupDecay.from_config(schedule.get_config())
    assert float(twin(70)) == float(schedule(70))


def test_smoothed_labels_by_hand():
    labels = np.array([2, 0])
    smoothed = smooth_labels(labels, 4, 0.2)
    np.testing.assert_allclose(
        smoothed, [[0.05, 0.05, 0.85, 0.05], [0.85, 0.05, 0.05, 0.05]], rtol=1e-6
    )
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
    images, labels = few[0][0][:64], few[0][1][:64]
    part = (images, labels), few[1]
    still = {"rotation": 0.0, "scale": 0.0, "shear": 0.0, "shift": 0.0}
    plain = Recipe(
        "sgd", epochs=3, batch_size=64, momentum=0, weight_decay=0, schedule="constant", **still
    )
    # A warm-up so short that every step has the peak rate, however many there are.
    plain = dataclasses.replace(plain, warmup_share=1e-6)
    model = build_network(NetworkConfig(channels=(4,), normalize=False))
    steps = []
    for epochs in (1, 2, 3):
        train(model, dataclasses.replace(plain, epochs=epochs), part, seed=0, verbose=False)
        steps.append(model.get_weights())
    # The average starts with the weights after the first step.
    average = steps[0]
    for weights in steps[1:]:
        average = [0.6 * old + 0.4 * new for old, new in zip(average, weights, strict=True)]
    train(model, dataclasses.replace(plain, averaging=0.6), part, seed=0, verbose=False)
    for found, expected in zip(model.get_weights(), average, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_two_trainings_with_one_seed_are_equal_to_the_bit_and_with_two_are_not(few):
    model = s3_network()
    first_run = train(model, SHORT, few, seed=3, verbose=False)
    first = model.get_weights()
    # The same object again: `train` must not go on from the weights that it finds.
    second_run = train(model, SHORT, few, seed=3, verbose=False)
    second = model.get_weights()
    other = s3_network()
    train(other, SHORT, few, seed=4, verbose=False)
    assert same_bits(first, second)
    assert first_run.history == second_run.history
    assert first_run.test_accuracy == second_run.test_accuracy
    assert not same_bits(first, other.get_weights())


def test_what_dropout_draws_follows_from_the_seed_too(few):
    model = build_network(NetworkConfig(channels=(4, 4), dropout=0.5))
    histories = [train(model, SHORT, few, seed=3, verbose=False).history for _ in range(2)]
    twin = build_network(NetworkConfig(channels=(4, 4), dropout=0.5))
    histories.append(train(twin, SHORT, few, seed=3, verbose=False).history)
    assert histories[0] == histories[1] == histories[2]


@pytest.mark.parametrize("found", [True, False])
def test_on_torch_the_device_is_what_torch_sees(monkeypatch, found):
    """Keras lists no devices there; a stand-in answers as torch does."""
    seen = types.SimpleNamespace(is_available=lambda: found)
    none = types.SimpleNamespace(is_available=lambda: False)
    torch = types.SimpleNamespace(cuda=seen, backends=types.SimpleNamespace(mps=none))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    assert device() == ("gpu" if found else "cpu")


def test_a_package_under_another_name_has_its_version_all_the_same(monkeypatch):
    """As tensorflow-cpu is: installed, imported as tensorflow, and unknown by that name."""

    def unknown(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    before = versions()
    monkeypatch.setattr(metadata, "version", unknown)
    assert versions()["keras"] == before["keras"] == keras.__version__
    assert versions()["evalib"] == "unknown"


def test_training_learns_and_its_record_holds_what_it_says(few):
    model = s3_network()
    run = train(model, dataclasses.replace(SHORT, epochs=8), few, seed=0, verbose=False)
    assert run.history["loss"][-1] < 0.5 * run.history["loss"][0]
    record = run.record()
    assert record["parameters"] == 18_930
    assert record["epochs"] == 8 == len(run.history["loss"])
    probabilities = model.predict(few[1][0][..., np.newaxis].astype("float32") / 255, verbose=0)
    right = sum(int(probabilities[i].argmax()) == few[1][1][i] for i in range(200))
    assert record["test_accuracy"] == right / 200
    assert {"python", "keras", "numpy", keras.backend.backend()} <= set(run.versions)


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
    plain = keras.Sequential([keras.Input((28, 28, 1)), s3_network()])
    moving = keras.Sequential([keras.Input((28, 28, 1)), Recipe().augmentation(), s3_network()])
    seconds: dict[str, list[float]] = {"plain": [], "moving": []}
    for model in (plain, moving):
        model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
        model.train_on_batch(images, labels)
    # In turn, so that a slow moment of the machine meets both.
    for _ in range(30):
        for name, model in (("plain", plain), ("moving", moving)):
            start = time.perf_counter()
            model.train_on_batch(images, labels)
            seconds[name].append(time.perf_counter() - start)
    with_it, without = statistics.median(seconds["moving"]), statistics.median(seconds["plain"])
    assert (with_it - without) / with_it < 0.2


def test_progress_is_silent_where_nobody_watches(few, capfd):
    train(s3_network(), dataclasses.replace(SHORT, epochs=1), few, seed=0, verbose=True)
    written = capfd.readouterr()
    assert (written.out, written.err) == ("", "")


def test_initialize_draws_the_weights_that_train_starts_from(few):
    first, second = s3_network(), s3_network()
    initialize(first, 5)
    initialize(second, 5)
    assert same_bits(first.get_weights(), second.get_weights())
    initialize(second, 6)
    assert not same_bits(first.get_weights(), second.get_weights())


def test_the_score_counts_and_averages():
    inputs = keras.Input((2, 2, 1))
    model = keras.Model(inputs, keras.layers.Softmax()(keras.layers.Flatten()(inputs)))
    images = np.eye(4, dtype="float32").reshape(4, 2, 2, 1)  # image i answers class i
    accuracy, loss = score(model, images, np.array([0, 1, 2, 0]))
    assert accuracy == 0.75
    # The softmax of (1, 0, 0, 0) is e / (e + 3) and three times 1 / (e + 3).
    assert loss == pytest.approx(math.log(math.e + 3) - 0.75, rel=1e-6)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((4, 28, 27, 1)), np.zeros(4, int), r"got \(4, 28, 27, 1\)"),
        (np.zeros((4, 28, 28, 1)), np.zeros(3, int), r"expected labels of shape \(4,\)"),
        (np.zeros((4, 28, 28, 1)), np.array([0, 1, 2, 10]), "from 0 to 9, got 0 to 10"),
    ],
)
def test_data_that_do_not_fit_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        check_fit(baseline_network(), images, labels)


@pytest.mark.parametrize(
    "values",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"peak_learning_rate": 0.0},
        {"peak_learning_rate": math.inf},
        {"rotation": 181.0},
        {"scale": 1.0},
        {"shear": -0.1},
        {"shift": math.nan},
        {"shift": math.inf},
        {"moved_share": 0.0},
        {"warmup_share": 1.0},
        {"weight_decay": -1.0},
        {"momentum": 1.0},
        {"optimizer": "luck"},
        {"schedule": "wave"},
        {"label_smoothing": 1.0},
        {"averaging": -0.1},
        {"teacher_share": 1.5},
        {"temperature": 0.0},
    ],
)
def test_recipes_that_cannot_be_are_refused(values):
    with pytest.raises(ValueError, match="expected"):
        Recipe(**values)
