"""A folded network gives what the network gives; the average over shifts is that of a loop."""

import gc
import weakref

import keras
import numpy as np
import pytest
from keras import layers, ops

from evalib.networks.config import NetworkConfig, build_network
from evalib.networks.course import bsconv_network, s3_network
from evalib.networks.folding import fold_normalization, shift_average
from evalib.networks.layers import RandomAffine, SReLU
from tests.networks.conftest import SETTINGS


class Squared(layers.Conv2D):
    """A convolution by name, which computes something else."""

    def call(self, values):
        return super().call(values) ** 2


def with_statistics(model: keras.Model, generator: np.random.Generator) -> keras.Model:
    """Random weights everywhere, variances and gammas positive."""
    for weight in model.weights:
        if weight.dtype not in ("int32", "int64"):
            values = generator.normal(0.1, 0.4, weight.shape)
            positive = "variance" in weight.path or "gamma" in weight.path
            weight.assign(0.2 + np.abs(values) if positive else values)
    return model


def agree(model: keras.Model, folded: keras.Model, generator, atol: float = 1e-5) -> None:
    """Both give the same for random images."""
    images = generator.random((7, *model.inputs[0].shape[1:]), dtype=np.float32)
    outputs = zip(*(keras.tree.flatten(one(images)) for one in (model, folded)), strict=True)
    for both in outputs:
        expected, found = (ops.convert_to_numpy(ops.cast(one, "float32")) for one in both)
        np.testing.assert_allclose(found, expected, atol=atol * max(1, np.abs(expected).max()))


def folded_of(model: keras.Model, generator: np.random.Generator, atol=1e-5) -> keras.Model:
    """The folded model, after a comparison of what both give."""
    with_statistics(model, generator)
    before = model.get_weights()
    folded = fold_normalization(model)
    agree(model, folded, generator, atol)
    assert all((a == b).all() for a, b in zip(before, model.get_weights(), strict=True))
    return folded


def norms(model: keras.Model) -> list[str]:
    return [one.name for one in model.layers if isinstance(one, layers.BatchNormalization)]


@pytest.mark.parametrize("setting", ["float32", *SETTINGS])
def test_networks_with_pooling_before_normalization(generator, set_keras, setting):
    set_keras(setting)
    for convolution in ("full", "separable"):
        config = NetworkConfig(channels=(4, 6, 5), pool_after=(1, 2), convolution=convolution)
        model = build_network(config)
        folded = folded_of(model, generator, 0.05 if "16" in setting else 1e-5)
        assert norms(folded) == []
        assert folded.count_params() == model.count_params() - 3 * (4 + 6 + 5)


def test_every_kind_of_layer_a_shortcut_and_a_model_inside(generator):
    image = keras.Input((9, 9, 3), name="image")
    first = layers.Conv2D(4, 3, padding="same", groups=1)(image)
    first = layers.BatchNormalization()(first)
    inner = layers.DepthwiseConv2D(3, padding="same", depth_multiplier=2)(first)
    inner = layers.ReLU()(layers.BatchNormalization(scale=False)(inner))
    kernel = layers.Conv2D(4, 1, use_bias=False, name="kernel")
    inside = keras.Sequential([keras.Input((9, 9, 8)), kernel])
    inner = layers.BatchNormalization(center=False)(inside(inner))
    both = ops.relu(layers.Add()([first, inner]))
    numbers = layers.BatchNormalization()(layers.Dense(5, name="kernel")(layers.Flatten()(both)))
    folded = folded_of(keras.Model(image, {"answer": layers.Softmax()(numbers)}), generator)
    assert norms(folded) == []
    # By hand: 3x3x3x4 + 4, 3x3x4x2 + 8, 8x4 + 4, 9x9x4x5 + 5.
    assert folded.count_params() == 112 + 80 + 36 + 1625


@pytest.mark.parametrize(
    "make",
    [
        lambda: [Squared(2, 3)],
        lambda: [layers.Conv2D(2, 3, activation="relu")],
        lambda: [layers.Conv2D(2, 3), layers.ZeroPadding2D()],
        lambda: [layers.Conv2D(2, 3, data_format="channels_first")],  # as many columns as rows
        lambda: [layers.Conv2DTranspose(2, 3)],
        lambda: [layers.Conv2D(2, 3), layers.Dropout(0.5)],
        lambda: [SReLU(), RandomAffine(5, 0, 0, 1)],
    ],
)
def test_what_cannot_be_folded_stays(generator, make):
    model = keras.Sequential([keras.Input((8, 8, 8)), *make(), layers.BatchNormalization()])
    assert len(norms(folded_of(model, generator))) == 1


def test_a_layer_that_is_shared_or_read_elsewhere_stays(generator):
    image = keras.Input((8, 8, 2))
    shared = layers.Conv2D(2, 3, padding="same")
    twice = layers.BatchNormalization()(shared(layers.BatchNormalization()(shared(image))))
    seen = layers.Conv2D(2, 1)(twice)
    inside = keras.Sequential([keras.Input((8, 8, 2)), layers.ReLU()])
    both = layers.Add()([layers.BatchNormalization()(seen), inside(seen)])
    output = layers.Conv2D(2, 1)(both)
    model = keras.Model(image, [output, layers.BatchNormalization()(output)])
    folded = folded_of(model, generator)
    assert len(norms(folded)) == len(norms(model)) == 4


def test_another_axis_or_the_statistics_of_the_batch_stay(generator):
    """As many rows as channels: the wrong axis would fit."""
    image = keras.Input((4, 4, 4))
    rows = layers.BatchNormalization(axis=1)(layers.Conv2D(4, 1)(image))
    batch = layers.BatchNormalization()(layers.Conv2D(4, 1)(rows), training=True)
    model = with_statistics(keras.Model(image, batch), generator)
    assert len(norms(fold_normalization(model))) == 2


def test_a_maximum_does_not_change_places_with_a_negative_factor(generator):
    model = with_statistics(s3_network(), generator)
    gamma = model.get_layer("block1_norm1").gamma
    gamma.assign(-gamma)
    agree(model, fold_normalization(model), generator)
    assert norms(fold_normalization(model)) == ["block1_norm1"]


def test_what_a_layer_has_learned_outside_training_is_copied_and_lora_stays(generator):
    scale, dense = layers.Normalization(), layers.Dense(5)
    scale.adapt(generator.normal(3, 2, (50, 4)))
    parts = [scale, layers.Dense(3), dense, layers.BatchNormalization()]
    model = keras.Sequential([keras.Input((4,)), *parts])
    dense.enable_lora(2)
    folded = fold_normalization(model)
    agree(model, folded, generator)
    assert len(norms(folded)) == 1


def test_nothing_of_the_folded_model_stays_in_the_model():
    image = keras.Input((8, 8, 2))
    model = keras.Model(image, layers.BatchNormalization()(ops.relu(layers.Conv2D(2, 3)(image))))
    copied = weakref.ref(fold_normalization(model).layers[1])
    gc.collect()
    assert copied() is None
    assert all(len(operation._inbound_nodes) == 1 for operation in model.operations)


def test_models_that_cannot_be_copied_are_refused():
    class Scale(layers.ReLU):  # a student's, without get_config
        def __init__(self, factor):
            super().__init__()

    with pytest.raises(ValueError, match="without one: begin it with"):
        fold_normalization(keras.Sequential([layers.Conv2D(3, 3), layers.BatchNormalization()]))
    model = keras.Sequential([keras.Input((8,)), Scale(2.0)])
    with pytest.raises(ValueError, match="cannot copy layer 'scale.*': it needs a get_config"):
        fold_normalization(model)


CROSS = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
SQUARE = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]


@pytest.mark.parametrize(("reach", "cross"), [(1, False), (2, True)])
def test_the_average_over_shifts_is_that_of_a_loop(generator, tmp_path, reach, cross):
    network = bsconv_network(3, 4, 2)
    images = generator.random((5, 28, 28, 1), dtype=np.float32)
    padded = np.pad(images, ((0, 0), (reach, reach), (reach, reach), (0, 0)))
    logarithms = []
    for down, right in CROSS if cross else SQUARE:
        top, left = reach + reach * down, reach + reach * right
        answer = network(padded[:, top : top + 28, left : left + 28])
        logarithms.append(np.log(ops.convert_to_numpy(answer).astype(float)))
    products = np.exp(np.mean(logarithms, axis=0))
    averaged = shift_average(network, reach, cross)
    assert averaged.count_params() == network.count_params()
    averaged.save(tmp_path / "averaged.keras")
    found = ops.convert_to_numpy(keras.models.load_model(tmp_path / "averaged.keras")(images))
    np.testing.assert_allclose(found, products / products.sum(axis=1, keepdims=True), atol=1e-6)


def test_a_probability_of_zero_is_no_obstacle():
    """The pixel in the middle decides, so strongly that the other class underflows."""
    head = [layers.Flatten(), layers.Dense(2, activation="softmax", use_bias=False)]
    network = keras.Sequential([keras.Input((3, 3, 1)), layers.Cropping2D(1), *head])
    network.set_weights([np.array([[0.0, 300.0]])])
    image = np.zeros((1, 3, 3, 1), "float32")
    image[0, 1, 1] = 1
    assert ops.convert_to_numpy(network(image)).tolist() == [[0, 1]]
    # Eight views are even, and one says e ** -85 at least: their mean says e ** -9.
    assert ops.convert_to_numpy(shift_average(network)(image))[0, 1] == pytest.approx(1, abs=1e-3)


def test_what_cannot_be_averaged_is_refused():
    for shape, layer, reach, message in (
        ((9,), layers.Softmax(), 1, r"got \(None, 9\) to softmax"),
        ((9, 9, 1), layers.Conv2D(2, 3, name="logits"), 1, "to logits"),
        ((9, 9, 1), layers.Softmax(), 0, r"whole numbers as reach, got \[0\]"),
    ):
        with pytest.raises(ValueError, match=message):
            shift_average(keras.Sequential([keras.Input(shape), layer]), reach)
