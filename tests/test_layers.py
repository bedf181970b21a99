"""The augmentation against SciPy and hand-made movements; the block against arithmetic."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from evalib.layers import RandomAffine, conv_block, transition_block


def affine(**changes) -> RandomAffine:
    """A layer with ordinary bounds, but for those that a test is about."""
    return RandomAffine(**{"rotation": 10, "scale": 0.1, "shear": 0.15, "shift": 2, **changes})


def moved(layer: RandomAffine, image: np.ndarray, uniform: list[float]) -> np.ndarray:
    """One image through the layer's map for known numbers instead of random ones."""
    height, width = image.shape
    transforms = layer.transforms(
        ops.convert_to_tensor([uniform], "float32"), (height - 1) / 2, (width - 1) / 2
    )
    result = ops.image.affine_transform(image[np.newaxis, ..., np.newaxis], transforms)
    return ops.convert_to_numpy(result)[0, ..., 0]


@pytest.fixture
def digit(mnist):
    return mnist[0][0][0].astype("float32") / 255


def test_no_movement_changes_nothing(digit):
    np.testing.assert_array_equal(moved(affine(), digit, [0.0] * 6), digit)


def test_a_shift_moves_whole_pixels(digit):
    # The map tells where an output pixel is read, so reading 2 further right moves ink left.
    result = moved(affine(shift=2), digit, [0, 0, 0, 0, 1, 0])
    np.testing.assert_allclose(result[:, :-2], digit[:, 2:], atol=1e-5)
    assert (result[:, -2:] == 0).all()


def test_ninety_degrees_are_a_quarter_turn(digit):
    result = moved(affine(rotation=90), digit, [1, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(result, np.rot90(digit, 1), atol=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_any_movement_agrees_with_scipy(digit, seed):
    layer = RandomAffine(20, 0.2, 0.3, 3)
    uniform = np.random.default_rng(seed).uniform(-1, 1, 6)
    t, p, q, k = (uniform[:4] * [np.pi / 9, 0.2, 0.2, 0.3]) + [0, 1, 1, 0]
    turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    map_xy = turn @ np.array([[1, k], [0, 1]]) @ np.diag([p, q])
    center = np.array([13.5, 13.5])
    offset_xy = center - map_xy @ center + 3 * uniform[4:]
    # SciPy counts rows first. Its "grid-constant" border mixes with zero, as Keras's fill does.
    expected = ndimage.affine_transform(
        digit, map_xy[::-1, ::-1], offset_xy[::-1], order=1, mode="grid-constant"
    )
    np.testing.assert_allclose(moved(layer, digit, uniform.tolist()), expected, atol=1e-4)


def test_outside_training_images_pass_unchanged(mnist):
    images = mnist[0][0][:8, ..., np.newaxis].astype("float32")
    result = affine()(images, training=False)
    np.testing.assert_array_equal(ops.convert_to_numpy(result), images)


def test_each_image_of_a_batch_moves_its_own_way(mnist):
    same = np.repeat(mnist[0][0][:1, ..., np.newaxis], 16, axis=0).astype("float32")
    result = ops.convert_to_numpy(affine(seed=1)(same, training=True))
    assert len({image.tobytes() for image in result}) == 16


def test_the_layer_survives_saving_and_loading():
    layer = RandomAffine(5, 0.2, 0.3, 1, seed=3)
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert twin.get_config() == layer.get_config()
    images = np.random.default_rng(0).random((4, 12, 12, 1)).astype("float32")
    first, second = layer(images, training=True), twin(images, training=True)
    np.testing.assert_array_equal(ops.convert_to_numpy(first), ops.convert_to_numpy(second))


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"rotation": 181}, "0 to 180 degrees, got 181"),
        ({"scale": 1.0}, "below 1, got 1.0"),
        ({"shift": -1}, "at least 0"),
    ],
)
def test_bounds_out_of_range_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        affine(**bounds)


def test_images_without_channels_are_refused():
    with pytest.raises(ValueError, match=r"got shape \(4, 28, 28\)"):
        affine()(np.zeros((4, 28, 28), "float32"), training=True)


def test_a_block_names_its_layers_and_shrinks_by_two_a_convolution():
    inputs = keras.Input((28, 28, 1))
    model = keras.Model(inputs, conv_block(inputs, [4, 6], name="block1", pool_first=True))
    assert [layer.name for layer in model.layers[1:]] == [
        "block1_conv1", "block1_pool", "block1_norm1", "block1_relu1",
        "block1_conv2", "block1_norm2", "block1_relu2",
    ]  # fmt: skip
    assert model.output_shape == (None, 11, 11, 6)  # 28 - 2 = 26, halved 13, - 2 = 11
    assert model.count_params() == 9 * 4 + 4 * 4 + 9 * 4 * 6 + 4 * 6


def test_blocks_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="expected one positive number"):
        conv_block(keras.Input((28, 28, 1)), [], name="block1")
    with pytest.raises(ValueError, match=r"got shape \(None, 28, 28\)"):
        conv_block(keras.Input((28, 28)), [4], name="block1")


def test_a_block_without_normalization_is_convolutions_alone():
    inputs = keras.Input((28, 28, 3))
    model = keras.Model(inputs, conv_block(inputs, [4, 6], name="block1", normalize=False))
    convolutions = model.layers[1:]
    assert [layer.name for layer in convolutions] == ["block1_conv1", "block1_conv2"]
    assert all(layer.activation is keras.activations.relu for layer in convolutions)
    assert model.output_shape == (None, 24, 24, 6)
    assert model.count_params() == (9 * 3 * 4 + 4) + (9 * 4 * 6 + 6)


def test_without_normalization_too_pooling_first_gives_a_quarter_of_the_pixels():
    inputs = keras.Input((28, 28, 3))
    outputs = conv_block(inputs, [4, 6], name="block1", pool_first=True, normalize=False)
    model = keras.Model(inputs, outputs)
    names = [layer.name for layer in model.layers[1:]]
    assert names == ["block1_conv1", "block1_pool", "block1_conv2"]
    assert model.output_shape == (None, 11, 11, 6)


def test_a_transition_halves_the_picture_and_mixes_the_channels():
    inputs = keras.Input((13, 12, 5))
    model = keras.Model(inputs, transition_block(inputs, 2, name="transition1"))
    assert [layer.name for layer in model.layers[1:]] == ["transition1_pool", "transition1_mix"]
    assert model.output_shape == (None, 6, 6, 2)  # an odd last row has no partner and is dropped
    assert model.count_params() == 5 * 2 + 2

    image = np.random.default_rng(0).normal(size=(1, 13, 12, 5)).astype("float32")
    kernel, bias = model.get_layer("transition1_mix").get_weights()
    largest = image[:, :12].reshape(1, 6, 2, 6, 2, 5).max(axis=(2, 4))
    expected = np.maximum(largest @ kernel[0, 0] + bias, 0)
    result = ops.convert_to_numpy(model(image))
    np.testing.assert_allclose(result, expected, atol=1e-5)


def test_transitions_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match="expected a positive number of filters, got 0"):
        transition_block(keras.Input((28, 28, 1)), 0, name="transition1")
    with pytest.raises(ValueError, match=r"got shape \(None, 28, 28\)"):
        transition_block(keras.Input((28, 28)), 4, name="transition1")
