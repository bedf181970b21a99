"""Learning from a teacher: the loss by hand, and who learns."""

import dataclasses
from typing import Any

import keras
import numpy as np
import pytest

from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.layers import RandomAffine
from evalib.training.recipe import Recipe, smooth_labels, train

SMALL = NetworkConfig(channels=(4, 4), pool_after=(1, 2))


@pytest.fixture(scope="module")
def script(load_script):
    return load_script("distillation")


@pytest.mark.parametrize(("share", "temperature", "smoothing"), [(1, 1, 0), (0.3, 2.5, 0.2)])
def test_the_loss_with_a_teacher_by_hand(script, generator, share, temperature, smoothing):
    images = generator.random((10, 28, 28, 1), dtype=np.float32)  # as many as classes
    labels = generator.integers(0, 10, 10)
    student, teacher = build_network(SMALL), build_network(NetworkConfig(channels=(6,)))
    still = RandomAffine(0, 0, 0, 0)
    model = script.Distillation(still, student, teacher, share=share, temperature=temperature)
    model.compile(loss="mse")
    loss = model.evaluate(images, smooth_labels(labels, 10, smoothing), batch_size=10, verbose=0)
    p, q = (one.predict(images, verbose=0).astype("float64") for one in (student, teacher))
    truth = (1 - smoothing) * np.eye(10)[labels] + smoothing / 10
    from_labels = -(truth * np.log(p)).sum(axis=1).mean()
    p, q = p ** (1 / temperature), q ** (1 / temperature)
    p, q = (one / one.sum(axis=1, keepdims=True) for one in (p, q))
    from_teacher = -(q * np.log(p)).sum(axis=1).mean() * temperature**2
    assert loss == pytest.approx((1 - share) * from_labels + share * from_teacher, rel=1e-4)


def test_the_student_comes_to_agree_with_its_teacher_against_the_labels(script, mnist):
    """A teacher calls every digit by the next number: with a share of 1, so does the student."""
    (images, labels), _ = mnist
    part = images[:1500], labels[:1500]
    plan = NetworkConfig(channels=(8,), normalize=False, head="convolution")
    still: Any = {"rotation": 0, "scale": 0, "shear": 0, "shift": 0}
    taught = Recipe("adamw", epochs=4, batch_size=32, peak_learning_rate=0.005, **still)
    teacher, student = build_network(plan), build_network(plan)
    wrong = part[0], (part[1] + 1) % 10
    train(teacher, taught, (wrong, wrong), seed=0, verbose=False)
    before = teacher.get_weights()
    recipe = dataclasses.replace(taught, teacher_share=1.0)
    trainer = script.Distillation(recipe.augmentation(), student, teacher, share=1.0)
    run = train(student, recipe, (part, part), seed=1, verbose=False, trainer=trainer)
    says = student.predict(images[1500:2000, ..., np.newaxis] / np.float32(255), verbose=0)
    taught_digits = (labels[1500:2000] + 1) % 10
    assert (says.argmax(axis=1) == taught_digits).mean() > 0.6
    assert run.test_accuracy < 0.1
    assert all((a == b).all() for a, b in zip(before, teacher.get_weights(), strict=True))


def test_a_teacher_that_does_not_fit_is_refused(script):
    student = build_network(SMALL)
    other = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"output_shape \(None, 10\), got \(None, 784\)"):
        script.Distillation(keras.layers.Identity(), student, other)
