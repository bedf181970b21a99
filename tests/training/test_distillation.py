"""Learning from a teacher: the loss by hand, and who learns."""

import dataclasses

import keras
import numpy as np
import pytest

from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.course import s3_network
from evalib.networks.layers import RandomAffine
from evalib.training.distillation import Distillation, soften
from evalib.training.ensembles import ensemble
from evalib.training.recipe import Recipe, smooth_labels, train

SMALL = NetworkConfig(channels=(4, 4), pool_after=(1, 2))


def still() -> RandomAffine:
    return RandomAffine(0, 0, 0, 0)


def test_softened_probabilities_are_those_of_divided_logits(generator):
    logits = generator.normal(size=(6, 10))
    powers = np.exp(logits)
    divided = np.exp(logits / 3)
    expected = divided / divided.sum(axis=1, keepdims=True)
    found = soften((powers / powers.sum(axis=1, keepdims=True)).astype("float32"), 3.0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=1e-5)


@pytest.mark.parametrize(("share", "temperature"), [(1.0, 1.0), (0.3, 1.0), (0.7, 2.5)])
def test_the_loss_by_hand(generator, share, temperature):
    images = generator.random((8, 28, 28, 1), dtype=np.float32)
    labels = generator.integers(0, 10, 8)
    student, teacher = build_network(SMALL), build_network(NetworkConfig(channels=(6,)))
    model = Distillation(still(), student, teacher, share=share, temperature=temperature)
    model.compile(loss="mse")
    loss = model.evaluate(images, labels, batch_size=8, verbose=0)

    p = student.predict(images, verbose=0).astype("float64")
    q = teacher.predict(images, verbose=0).astype("float64")
    from_labels = -np.log(p[np.arange(8), labels]).mean()
    p, q = p ** (1 / temperature), q ** (1 / temperature)
    p, q = (one / one.sum(axis=1, keepdims=True) for one in (p, q))
    from_teacher = -(q * np.log(p)).sum(axis=1).mean() * temperature**2
    assert loss == pytest.approx((1 - share) * from_labels + share * from_teacher, rel=1e-4)


def test_the_loss_with_smoothed_labels_by_hand(generator):
    images = generator.random((8, 28, 28, 1), dtype=np.float32)
    labels = smooth_labels(generator.integers(0, 10, 8), 10, 0.2)
    student, teacher = build_network(SMALL), build_network(NetworkConfig(channels=(6,)))
    model = Distillation(still(), student, teacher, share=0.4)
    model.compile(loss="mse")
    loss = model.evaluate(images, labels, batch_size=8, verbose=0)
    p, q = (one.predict(images, verbose=0).astype("float64") for one in (student, teacher))
    both = 0.6 * labels + 0.4 * q
    assert loss == pytest.approx(-(both * np.log(p)).sum(axis=1).mean(), rel=1e-4)


def test_the_student_comes_to_agree_with_its_teacher_against_the_labels(mnist):
    """A teacher calls every digit by the next number: with a share of 1, so does the student."""
    (images, labels), _ = mnist
    part = images[:1500], labels[:1500]
    plan = NetworkConfig(channels=(8,), normalize=False, head="convolution")
    taught = Recipe("adamw", epochs=4, batch_size=32, peak_learning_rate=0.005)
    taught = dataclasses.replace(taught, rotation=0, scale=0, shear=0, shift=0)
    teacher = build_network(plan)
    wrong = part[0], (part[1] + 1) % 10
    train(teacher, taught, (wrong, wrong), seed=0, verbose=False)
    before = teacher.get_weights()

    student = build_network(plan)
    recipe = dataclasses.replace(taught, teacher_share=1.0)
    run = train(student, recipe, (part, part), seed=1, verbose=False, teacher=teacher)
    says = student.predict(images[1500:2000, ..., np.newaxis] / np.float32(255), verbose=0)
    taught_digits = (labels[1500:2000] + 1) % 10
    assert (says.argmax(axis=1) == taught_digits).mean() > 0.6
    assert run.test_accuracy < 0.1
    assert all((a == b).all() for a, b in zip(before, teacher.get_weights(), strict=True))


def test_a_student_of_several_teachers_is_trained_and_they_are_not(mnist):
    images, labels = mnist[1]
    few = (images[:70], labels[:70]), (images[:50], labels[:50])
    teachers, student = [build_network(SMALL) for _ in range(3)], build_network(SMALL)
    before = [teacher.get_weights() for teacher in teachers]
    recipe = Recipe(epochs=1, batch_size=32, teacher_share=0.9)
    run = train(student, recipe, few, 0, False, ensemble(teachers))
    assert np.isfinite(run.history["loss"]).all()
    for weights, teacher in zip(before, teachers, strict=True):
        assert all((a == b).all() for a, b in zip(weights, teacher.get_weights(), strict=True))


def test_share_and_teacher_go_together(mnist):
    images, labels = mnist[1]
    few = (images[:50], labels[:50]), (images[:50], labels[:50])
    with pytest.raises(ValueError, match="a teacher share of 0.5 goes with a teacher"):
        train(s3_network(), Recipe(epochs=1, teacher_share=0.5), few, 0, False)
    with pytest.raises(ValueError, match="a teacher share of 0 goes with no teacher"):
        train(s3_network(), Recipe(epochs=1), few, 0, False, s3_network())


def test_bad_input_is_refused():
    student = build_network(SMALL)
    with pytest.raises(ValueError, match="expected a share above 0 to 1"):
        Distillation(still(), student, student, share=0)
    with pytest.raises(ValueError, match="temperature above 0"):
        Distillation(still(), student, student, temperature=0)
    other = keras.Sequential([keras.Input((28, 28, 1)), keras.layers.Flatten()])
    with pytest.raises(ValueError, match=r"output_shape \(None, 10\), got \(None, 784\)"):
        Distillation(still(), student, other)
