"""The augmentation against SciPy and hand-made movements; blocks and SReLU against arithmetic."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from evalib.networks.gradients import input_gradient
from evalib.networks.layers import RandomAffine, SReLU, conv_block, transition_block


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


def test_a_share_of_the_images_moves_and_the_others_stay_bit_by_bit(mnist):
    same = np.repeat(mnist[0][0][:1, ..., np.newaxis], 2000, axis=0).astype("float32")
    result = ops.convert_to_numpy(affine(seed=1, share=0.3)(same, training=True))
    moved = (result != same).any(axis=(1, 2, 3))
    # Three standard deviations of a binomial share: 3 * sqrt(0.3 * 0.7 / 2000).
    assert moved.mean() == pytest.approx(0.3, abs=0.031)


def test_a_share_of_one_draws_nothing_more(mnist):
    images = mnist[0][0][:8, ..., np.newaxis].astype("float32")
    plain, whole = (affine(seed=2, **share)(images, training=True) for share in ({}, {"share": 1}))
    np.testing.assert_array_equal(ops.convert_to_numpy(plain), ops.convert_to_numpy(whole))


def test_the_layer_survives_saving_and_loading():
    layer = RandomAffine(5, 0.2, 0.3, 1, share=0.5, seed=3)
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
        ({"share": 0}, "above 0 and up to 1, got 0"),
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


JIT = "auto" if keras.backend.backend() != "tensorflow" else False  # it compiles too long


def s_shaped(x, t_right, a_right, t_left, a_left):
    """The paper's formula, one number at a time."""
    result = np.empty_like(x)
    for place in np.ndindex(x.shape):
        value, channel = x[place], place[-1]
        if value >= t_right[channel]:
            result[place] = t_right[channel] + a_right[channel] * (value - t_right[channel])
        elif value <= t_left[channel]:
            result[place] = t_left[channel] + a_left[channel] * (value - t_left[channel])
        else:
            result[place] = value
    return result


SHAPES = ((0.7, 1.5), (0.4, -0.3), (-1.0, 0.25), (0.1, 1.8))  # of two channels, as in the paper


def s_shaped_layer(**options) -> SReLU:
    """A built layer with two channels and those four pairs of weights."""
    layer = SReLU(**options)
    layer.build((None, 5, 6, 2))
    for weight, values in zip(layer.weights, SHAPES, strict=True):
        weight.assign(np.reshape(values, weight.shape))
    return layer


def test_srelu_has_four_weights_a_channel_and_starts_as_a_leaky_relu(generator):
    layer = SReLU()
    x = generator.normal(size=(3, 5, 6, 2)).astype("float32") * 3
    result = ops.convert_to_numpy(layer(x))
    names = [weight.name for weight in layer.trainable_weights]
    assert names == ["t_right", "a_right", "t_left", "a_left"]
    assert {tuple(weight.shape) for weight in layer.weights} == {(1, 1, 2)}
    np.testing.assert_allclose(result, np.where(x > 0, x, 0.2 * x), atol=1e-6)
    assert layer.compute_output_shape((None, 5, 6, 2)) == (None, 5, 6, 2)


def test_srelu_is_the_formula_of_the_paper(generator):
    x = generator.normal(size=(3, 5, 6, 2)) * 2
    x[0, 0, :2] = SHAPES[0], SHAPES[2]  # on the thresholds too
    x = x.astype("float32")
    result = ops.convert_to_numpy(s_shaped_layer()(x))
    np.testing.assert_allclose(result, s_shaped(x, *SHAPES), atol=1e-6)
    between = (x > np.array(SHAPES[2])) & (x < np.array(SHAPES[0]))
    assert between.any(axis=(0, 1, 2)).all()


def test_the_gradients_of_srelu_are_the_slopes_of_its_formula(generator):
    x = generator.normal(size=(1, 5, 6, 2)).astype("float32") * 2
    weighting = generator.normal(size=x.shape).astype("float32")
    layer = s_shaped_layer()
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    changed = input_gradient(model, x, output=lambda values: ops.multiply(values, weighting))

    def weighted(shapes, inputs=x):
        return float((s_shaped(np.float64(inputs), *shapes) * weighting).sum())

    step = 1e-5
    for place in np.ndindex(x.shape):
        nudge = np.zeros(x.shape)
        nudge[place] = step
        expected = (weighted(SHAPES, x + nudge) - weighted(SHAPES, x - nudge)) / (2 * step)
        assert changed[place] == pytest.approx(expected, abs=1e-4)

    # A loss whose gradient by the outputs is the weighting: minus what a step of rate one takes.
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda truth, values: ops.sum(truth * values),
        run_eagerly=True,
        jit_compile=False,
    )
    layer.t_right.constraint = None
    model.train_on_batch(x, weighting)
    after = [ops.convert_to_numpy(weight).ravel() for weight in layer.weights]
    gradients = np.array(SHAPES) - after
    for place in np.ndindex(gradients.shape):
        bump = np.zeros(gradients.shape)
        bump[place] = step
        expected = (weighted(SHAPES + bump) - weighted(SHAPES - bump)) / (2 * step)
        assert gradients[place] == pytest.approx(expected, abs=2e-4)
        assert expected != 0


def test_the_thresholds_of_srelu_stay_in_order_while_they_are_trained(generator):
    layer = s_shaped_layer()
    model = keras.Sequential([keras.Input((5, 6, 2)), layer])
    # This loss falls where small inputs give more and large ones less: the thresholds close in.
    x = generator.normal(size=(64, 5, 6, 2)).astype("float32") * 2
    model.compile(
        keras.optimizers.SGD(0.1),
        loss=lambda signs, values: ops.mean(signs * values),
        jit_compile=JIT,
    )
    met = False
    for _ in range(60):
        model.train_on_batch(x, np.sign(x))
        left, right = (ops.convert_to_numpy(w).ravel() for w in (layer.t_left, layer.t_right))
        assert (left <= right).all()
        met |= bool((left == right).all())
    assert met
    assert np.isfinite(model.predict(x, verbose=0)).all()


def test_without_its_constraint_they_would_cross(generator):
    layer = s_shaped_layer()
    layer.t_right.constraint = None
    layer.t_right.assign(layer.t_left - 1)
    model = keras.Sequential([keras.Input((5, 6, 2)), layer])
    model.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=JIT)
    x = generator.normal(size=(4, 5, 6, 2)).astype("float32")
    model.train_on_batch(x, x)
    assert (ops.convert_to_numpy(layer.t_right) < ops.convert_to_numpy(layer.t_left)).all()


def test_srelu_learns_a_shape_from_what_it_should_give(generator):
    x = (generator.normal(size=(256, 5, 6, 2)) * 2).astype("float32")
    target = s_shaped(x, *SHAPES)
    layer = SReLU()
    model = keras.Sequential([keras.Input((5, 6, 2)), layer])
    model.compile(keras.optimizers.Adam(0.05), "mse", jit_compile=JIT)
    for _ in range(300):
        model.train_on_batch(x, target)
    for weight, values in zip(layer.weights, SHAPES, strict=True):
        np.testing.assert_allclose(ops.convert_to_numpy(weight).ravel(), values, atol=0.05)


def test_srelu_survives_saving_and_loading(generator, tmp_path):
    x = generator.normal(size=(3, 5, 6, 2)).astype("float32") * 2
    model = keras.Sequential([keras.Input((5, 6, 2)), s_shaped_layer()])
    model.save(tmp_path / "model.keras")
    twin = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))
    twin.layers[0].t_left.assign(twin.layers[0].t_right + 1)
    twin.compile(keras.optimizers.SGD(0.0), "mse", jit_compile=JIT)
    twin.train_on_batch(x, x)  # the constraint came back too, and it is the twin's own
    left, right = twin.layers[0].t_left, twin.layers[0].t_right
    np.testing.assert_array_equal(ops.convert_to_numpy(left), ops.convert_to_numpy(right))


def test_the_configuration_of_srelu_makes_its_equal():
    layer = SReLU(
        t_left_initializer=keras.initializers.Constant(-2.0),
        a_right_initializer="zeros",
        shared_axes=[1],
        name="shape",
    )
    twin = keras.layers.deserialize(keras.layers.serialize(layer))
    assert twin.get_config() == layer.get_config()
    twin.build((None, 4, 3, 2))
    starts = [ops.convert_to_numpy(weight) for weight in twin.weights]
    assert {start.shape for start in starts} == {(1, 3, 2)}
    assert [start.max() for start in starts] == pytest.approx([1, 0, -2, 0.2])


@pytest.mark.parametrize(
    ("shared_axes", "shape"), [(None, (1, 1, 7)), ([], (5, 6, 7)), ([1, 2, 3], (1, 1, 1))]
)
def test_axes_are_shared_as_told(shared_axes, shape):
    layer = SReLU(shared_axes=shared_axes)
    layer.build((None, 5, 6, 7))
    assert layer.count_params() == 4 * np.prod(shape)
    assert tuple(layer.t_left.shape) == shape


def test_behind_a_dense_layer_each_unit_is_a_channel():
    layer = SReLU()
    assert layer(np.zeros((2, 9), "float32")).shape == (2, 9)
    assert layer.count_params() == 36


def test_srelu_sets_its_right_threshold_by_what_it_reads(generator):
    layer = s_shaped_layer()
    x = generator.normal(size=(40, 5, 6, 2)).astype("float32") * [3, 1] + [0, -9]
    layer.adapt(x, 0.9)
    right = ops.convert_to_numpy(layer.t_right).ravel()
    assert right[0] == pytest.approx(np.sort(x[..., 0].ravel())[int(0.9 * 1200)], abs=0.05)
    assert right[1] == pytest.approx(0.25)  # nine in ten lie far below the left threshold
    with pytest.raises(ValueError, match="share from 0 to 1, got 2"):
        layer.adapt(x, 2)
    with pytest.raises(ValueError, match="built, got 'raw' before that"):
        SReLU(name="raw").adapt(x)


def test_srelu_works_in_half_precision(generator):
    layer = SReLU(dtype="mixed_float16")
    result = layer(generator.normal(size=(2, 5, 6, 2)))
    assert keras.backend.standardize_dtype(result.dtype) == "float16"
    assert {weight.dtype for weight in layer.weights} == {"float32"}


def test_axes_that_cannot_be_shared_are_refused():
    with pytest.raises(ValueError, match=r"expected axes from 1 to 3 to share, got \[0, 1\]"):
        SReLU(shared_axes=[0, 1]).build((None, 5, 6, 2))
    with pytest.raises(ValueError, match=r"not shared, got shape \(None, None, 6, 2\)"):
        SReLU(shared_axes=[2]).build((None, None, 6, 2))
