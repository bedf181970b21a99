"""The mean of networks, in one file; the loss with a teacher by hand, and who learns."""

import dataclasses

import keras
import numpy as np
import pytest

from evalib.data.mnist import prepare_images
from evalib.networks.bsconv import bsconv_network
from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.folding import fold_normalization
from evalib.networks.layers import RandomAffine
from evalib.training.ensembles import Distillation, ensemble, soften
from evalib.training.recipe import Recipe, smooth_labels, train

SMALL = NetworkConfig(channels=(4, 4), pool_after=(1, 2))


def small() -> keras.Model:
    layers = [
        keras.Input((12, 12, 1)),
        keras.layers.Conv2D(3, 3, activation="relu"),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(4, activation="softmax"),
    ]
    return keras.Sequential(layers, name="small")


@pytest.mark.parametrize("count", [1, 2, 5])
def test_an_ensemble_is_the_mean_and_shares_its_members_weights(count, generator):
    members = [small() for _ in range(count)]
    images = generator.random((7, 12, 12, 1), dtype=np.float32)
    found = ensemble(iter(members))
    members[0].layers[0].bias.assign([1.0, 2.0, 3.0])
    expected = np.mean([member.predict(images, verbose=0) for member in members], axis=0)
    np.testing.assert_allclose(found.predict(images, verbose=0), expected, atol=1e-6)
    # By hand: 9 x 3 + 3, four numbers for each of 3 channels, 3 x 4 + 4.
    assert found.count_params() == count * (30 + 12 + 16)
    assert all(not member._outbound_nodes for member in members)


def test_an_ensemble_comes_back_from_its_file(tmp_path, mnist):
    digits = prepare_images(mnist[1][0][:20])
    before = ensemble([fold_normalization(bsconv_network(3, 6)) for _ in range(2)])
    before.save(tmp_path / "ensemble.keras")
    after = keras.saving.load_model(tmp_path / "ensemble.keras")
    expected = before.predict(digits, verbose=0)
    np.testing.assert_allclose(after.predict(digits, verbose=0), expected, atol=1e-6)


def test_what_cannot_be_averaged_is_refused():
    flat = keras.Sequential([keras.Input((12, 12, 1)), keras.layers.Flatten()])
    other = keras.Sequential([keras.Input((10, 10, 1)), keras.layers.Flatten()])
    for members, message in (
        ([], "at least one member, got none"),
        ([small(), flat], r"output_shape \(None, 4\), got \(None, 144\)"),
        ([small(), other], r"input_shape \(None, 12, 12, 1\), got \(None, 10"),
    ):
        with pytest.raises(ValueError, match=message):
            ensemble(members)


def test_softened_probabilities_are_those_of_divided_logits(generator):
    powers = np.exp(generator.normal(size=(6, 10)))
    divided = powers ** (1 / 3)
    expected = divided / divided.sum(axis=1, keepdims=True)
    found = soften((powers / powers.sum(axis=1, keepdims=True)).astype("float32"), 3.0)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("share", "temperature", "smoothing"), [(1.0, 1.0, 0), (0.3, 1.0, 0.2), (0.7, 2.5, 0)]
)
def test_the_loss_with_a_teacher_by_hand(generator, share, temperature, smoothing):
    images = generator.random((10, 28, 28, 1), dtype=np.float32)  # as many as classes
    labels = generator.integers(0, 10, 10)
    student, teacher = build_network(SMALL), build_network(NetworkConfig(channels=(6,)))
    still = RandomAffine(0, 0, 0, 0)
    model = Distillation(still, student, teacher, share=share, temperature=temperature)
    model.compile(loss="mse")
    loss = model.evaluate(images, smooth_labels(labels, 10, smoothing), batch_size=10, verbose=0)
    p, q = (one.predict(images, verbose=0).astype("float64") for one in (student, teacher))
    truth = (1 - smoothing) * np.eye(10)[labels] + smoothing / 10
    from_labels = -(truth * np.log(p)).sum(axis=1).mean()
    p, q = p ** (1 / temperature), q ** (1 / temperature)
    p, q = (one / one.sum(axis=1, keepdims=True) for one in (p, q))
    from_teacher = -(q * np.log(p)).sum(axis=1).mean() * temperature**2
    assert loss == pytest.approx((1 - share) * from_labels + share * from_teacher, rel=1e-4)


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
    student, recipe = build_network(plan), dataclasses.replace(taught, teacher_share=1.0)
    run = train(student, recipe, (part, part), seed=1, verbose=False, teacher=ensemble([teacher]))
    says = student.predict(images[1500:2000, ..., np.newaxis] / np.float32(255), verbose=0)
    taught_digits = (labels[1500:2000] + 1) % 10
    assert (says.argmax(axis=1) == taught_digits).mean() > 0.6
    assert run.test_accuracy < 0.1
    assert all((a == b).all() for a, b in zip(before, teacher.get_weights(), strict=True))


def test_a_teacher_that_does_not_fit_is_refused(mnist):
    student, (images, labels) = build_network(SMALL), mnist[1]
    few = (images[:50], labels[:50]), (images[:50], labels[:50])
    with pytest.raises(ValueError, match="a teacher share of 0.5 goes with a teacher"):
        train(student, Recipe(epochs=1, teacher_share=0.5), few, 0, False)
    with pytest.raises(ValueError, match="a teacher share of 0 goes with no teacher"):
        train(student, Recipe(epochs=1), few, 0, False, teacher=student)
    for options, message in (({"share": 0}, "share above 0"), ({"temperature": 0}, "above 0")):
        with pytest.raises(ValueError, match=message):
            Distillation(keras.layers.Identity(), student, student, **options)
    with pytest.raises(ValueError, match=r"output_shape \(None, 10\), got \(None, 4\)"):
        Distillation(
            keras.layers.Identity(),
            student,
            keras.Sequential(
                [keras.Input((28, 28, 1)), keras.layers.Flatten(), keras.layers.Dense(4)]
            ),
        )
