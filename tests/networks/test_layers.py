"""The augmentation against SciPy and hand-made movements; blocks and SReLU against arithmetic."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy import ndimage

from evalib.networks.gradients import input_gradient
from evalib.networks.layers import RandomAffine, SReLU, conv_block, transition_block
from tests.networks.conftest import SETTINGS

JIT = "auto" if keras.backend.backend() != "tensorflow" else False  # it compiles too long


def affine(**changes) -> RandomAffine:
    """A layer with ordinary bounds, but for those that a test is about."""
    return RandomAffine(**{"rotation": 10, "scale": 0.1, "shear": 0.15, "shift": 2, **changes})


class Fixed(RandomAffine):
    """Moves each image by the same fractions of the bounds."""

    fractions: list[float]

    def transforms(self, uniform, center_y, center_x):
        fixed = ops.zeros_like(uniform) + np.array(self.fractions, "float32")
        return super().transforms(fixed, center_y, center_x)


def numpy_of(values) -> np.ndarray:
    return ops.convert_to_numpy(ops.cast(values, "float32"))


@pytest.fixture
def digit(mnist):
    return mnist[0][0][0].astype("float32") / 255


@pytest.mark.parametrize("seed", range(5))
def test_any_movement_agrees_with_scipy(digit, seed):
    layer = Fixed(20, 0.2, 0.3, 3)
    layer.fractions = np.random.default_rng(seed).uniform(-1, 1, 6).tolist()
    t, p, q, k = (np.array(layer.fractions[:4]) * [np.pi / 9, 0.2, 0.2, 0.3]) + [0, 1, 1, 0]
    turn = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
    map_xy = turn @ np.array([[1, k], [0, 1]]) @ np.diag([p, q])
    center = np.array([13.5, 13.5])
    offset_xy = center - map_xy @ center + 3 * np.array(layer.fractions[4:])
    # SciPy counts rows first. Its "grid-constant" border mixes with zero, as Keras's fill does.
    expected = ndimage.affine_transform(
        digit, map_xy[::-1, ::-1], offset_xy[::-1], order=1, mode="grid-constant"
    )
    found = numpy_of(layer(digit[np.newaxis, ..., np.newaxis], training=True))[0, ..., 0]
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("setting", ["float32", *SETTINGS])
def test_a_quarter_turn_in_every_setting(digit, set_keras, setting):
    set_keras(setting)
    layer = Fixed(90, 0, 0, 0)
    layer.fractions = [1, 0, 0, 0, 0, 0]
    found = numpy_of(layer(digit[np.newaxis, ..., np.newaxis], training=True))[0, ..., 0]
    np.testing.assert_allclose(found, np.rot90(digit), atol=0.02)


def test_outside_training_images_pass_and_inside_each_moves_its_own_way(mnist):
    same = np.repeat(mnist[0][0][:1, ..., np.newaxis], 16, axis=0).astype("float32")
    layer = affine(seed=1)
    np.testing.assert_array_equal(numpy_of(layer(same)), same)
    moved = numpy_of(layer(same, training=True))
    assert len({image.tobytes() for image in moved}) == 16


def test_a_share_of_the_images_moves_and_the_others_stay_bit_by_bit(mnist):
    same = np.repeat(mnist[0][0][:1, ..., np.newaxis], 2000, axis=0).astype("float32")
    moved = numpy_of(affine(seed=1, share=0.3)(same, training=True)) != same
    # Three standard deviations of a binomial share: 3 * sqrt(0.3 * 0.7 / 2000).
    assert moved.any(axis=(1, 2, 3)).mean() == pytest.approx(0.3, abs=0.031)


def test_a_copy_begins_again_where_the_layer_itself_draws_on(generator):
    images = generator.random((4, 12, 12, 1)).astype("float32")
    layer = affine(share=0.5, seed=np.arange(4)[3])
    first, second = (numpy_of(layer(images, training=True)) for _ in range(2))
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert copy.get_config() == layer.get_config()
    np.testing.assert_array_equal(numpy_of(copy(images, training=True)), first)
    assert (first != second).any()


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ({"rotation": 181}, "0 to 180 degrees, got 181"),
        ({"rotation": (-5, 5)}, r"0 to 180 degrees, got \(-5, 5\)"),
        ({"scale": 1.0}, "below 1, got 1.0"),
        ({"shear": np.inf}, "finite shear"),
        ({"shift": -1}, "shift of at least 0, got -1"),
        ({"share": 0}, "above 0 and up to 1, got 0"),
    ],
)
def test_bounds_out_of_range_are_refused(bounds, message):
    with pytest.raises(ValueError, match=message):
        affine(**bounds)


def test_images_without_channels_or_with_channels_first_are_refused(set_keras):
    set_keras("channels_first")
    for shape in ((4, 28, 28), (4, 3, 28, 28)):
        with pytest.raises(ValueError, match="height, width, channels., got shape"):
            affine()(np.zeros(shape, "float32"), training=True)


def test_gradients_pass_through_a_movement_in_bfloat16(set_keras, generator):
    set_keras("mixed_bfloat16")
    image = keras.Input((None, None, 1))
    model = keras.Model(image, affine(rotation=0, scale=0, shear=0)(image, training=True))
    gradient = input_gradient(model, generator.random((2, 9, 9, 1)))
    assert gradient[:, 4, 4] == pytest.approx(1, abs=0.02)  # shifted, but not lost


@pytest.mark.parametrize("setting", ["float32", *SETTINGS])
@pytest.mark.parametrize(
    "filters", [[4, 6], (2 * k for k in (2, 3)), map(int, "46"), np.array([4, 6])]
)
def test_a_block_names_its_layers_and_shrinks_by_two_per_convolution(filters, setting, set_keras):
    set_keras(setting)
    filters = [4, 6] if setting != "float32" else filters  # an iterator lasts for one test
    inputs = keras.Input((28, 26, 1))
    model = keras.Model(inputs, conv_block(inputs, filters, name="b", pool_first=True))
    names = ["b_conv1", "b_pool", "b_norm1", "b_relu1", "b_conv2", "b_norm2", "b_relu2"]
    assert [layer.name for layer in model.layers[1:]] == names
    assert model.output_shape == (None, 11, 10, 6)  # 28 - 2 = 26, halved 13, - 2 = 11
    assert model.count_params() == 9 * 4 + 4 * 4 + 9 * 4 * 6 + 4 * 6


def test_pooling_first_is_pooling_last_where_no_gamma_is_negative(generator):
    inputs = keras.Input((8, 8, 2))
    block = keras.Model(inputs, conv_block(inputs, [3], name="b", pool_first=True))
    convolution, pooling, norm, relu = block.layers[1:]
    images = generator.normal(size=(2, 8, 8, 2)).astype("float32")
    for gamma, equal in (([1.0, 2.0, 0.0], True), ([1.0, -2.0, 1.0], False)):
        norm.gamma.assign(gamma)
        last = numpy_of(pooling(relu(norm(convolution(images)))))
        assert np.allclose(numpy_of(block(images)), last, atol=1e-5) == equal


def test_a_block_without_normalization_is_convolutions_alone():
    inputs = keras.Input((28, 28, 3))
    outputs = conv_block(inputs, [4, 6], name="b", normalize=False, pool_first=True)
    model = keras.Model(inputs, outputs)
    assert [layer.name for layer in model.layers[1:]] == ["b_conv1", "b_pool", "b_conv2"]
    assert model.get_layer("b_conv2").activation is keras.activations.relu
    assert model.output_shape == (None, 11, 11, 6)
    assert model.count_params() == (9 * 3 * 4 + 4) + (9 * 4 * 6 + 6)


@pytest.mark.parametrize("setting", ["float32", "channels_first"])
def test_a_transition_halves_the_image_and_mixes_the_channels(generator, set_keras, setting):
    set_keras(setting)
    inputs = keras.Input((13, 12, 5))
    model = keras.Model(inputs, transition_block(inputs, 2, name="t"))
    assert [layer.name for layer in model.layers[1:]] == ["t_pool", "t_mix"]
    image = generator.normal(size=(1, 13, 12, 5)).astype("float32")
    kernel, bias = model.get_layer("t_mix").get_weights()
    # An odd last row has no partner and is dropped.
    largest = image[:, :12].reshape(1, 6, 2, 6, 2, 5).max(axis=(2, 4))
    expected = np.maximum(largest @ kernel[0, 0] + bias, 0)
    np.testing.assert_allclose(numpy_of(model(image)), expected, atol=1e-5)


@pytest.mark.parametrize("filters", [[], [4, 0], [4.0], "46", None, [[4, 6]]])
def test_numbers_of_kernels_that_cannot_be_are_refused(filters):
    with pytest.raises(ValueError, match="expected positive whole numbers as filters, got"):
        conv_block(keras.Input((28, 28, 1)), filters, name="b")
    with pytest.raises(ValueError, match="expected positive whole numbers as filters, got"):
        transition_block(keras.Input((28, 28, 1)), filters, name="t")
    with pytest.raises(ValueError, match=r"\(None, 28, 28\)"):
        conv_block(keras.Input((28, 28)), [4], name="b")


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


def test_srelu_is_the_formula_of_the_paper(generator):
    x = generator.normal(size=(3, 5, 6, 2)) * 2
    x[0, 0, :2] = SHAPES[0], SHAPES[2]  # on the thresholds too
    x = x.astype("float32")
    np.testing.assert_allclose(numpy_of(s_shaped_layer()(x)), s_shaped(x, *SHAPES), atol=1e-6)
    # It starts as a leaky ReLU, with four weights per channel, or per unit after a dense layer.
    layer, flat = SReLU(), SReLU()
    np.testing.assert_allclose(numpy_of(layer(x)), np.where(x > 0, x, 0.2 * x), atol=1e-6)
    names = [weight.name for weight in layer.trainable_weights]
    assert names == ["t_right", "a_right", "t_left", "a_left"]
    assert flat(np.zeros((2, 9), "float32")).shape == (2, 9)
    assert (layer.count_params(), flat.count_params()) == (8, 36)


def test_the_slopes_of_srelu_are_those_of_its_formula(generator):
    x = generator.normal(size=(1, 5, 6, 2)).astype("float32") * 2
    weighting = generator.normal(size=x.shape).astype("float32")
    layer = s_shaped_layer()
    layer.t_right.constraint = None
    model = keras.Sequential([keras.Input(x.shape[1:]), layer])
    # The gradient is minus what a step of rate one takes.
    model.compile(
        keras.optimizers.SGD(1.0),
        loss=lambda truth, values: ops.sum(truth * values),
        run_eagerly=True,
        jit_compile=False,
    )
    model.train_on_batch(x, weighting)
    found = np.array(SHAPES) - [numpy_of(weight).ravel() for weight in layer.weights]
    for place in np.ndindex(found.shape):
        step = np.zeros((4, 2))
        step[place] = 1e-5
        up, down = (
            (s_shaped(x.astype(float), *(SHAPES + sign * step)) * weighting).sum()
            for sign in (1, -1)
        )
        assert found[place] == pytest.approx((up - down) / 2e-5, abs=2e-4)


def test_the_thresholds_of_srelu_stay_in_order_while_they_are_trained(generator, tmp_path):
    model = keras.Sequential([keras.Input((5, 6, 2)), s_shaped_layer()])
    x = generator.normal(size=(64, 5, 6, 2)).astype("float32") * 2
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    for network in (model, loaded):
        (layer,) = network.layers
        # This loss falls where small inputs give more and large ones less: the thresholds close in.
        loss = lambda signs, values: ops.mean(signs * values)  # noqa: E731
        network.compile(keras.optimizers.SGD(0.1), loss=loss, jit_compile=JIT)
        met = False
        for _ in range(60):
            network.train_on_batch(x, np.sign(x))
            left, right = (numpy_of(weight).ravel() for weight in (layer.t_left, layer.t_right))
            assert (left <= right).all()
            met |= bool((left == right).all())
        assert met


@pytest.mark.parametrize(
    ("shared_axes", "shape"), [(None, (1, 1, 7)), ([], (5, 6, 7)), ([1, 2, 3], (1, 1, 1))]
)
def test_srelu_shares_axes_and_keeps_its_configuration(shared_axes, shape):
    start = keras.initializers.Constant(-2.0)
    layer = SReLU(shared_axes=shared_axes, t_left_initializer=start, a_right_initializer="zeros")
    copy = keras.layers.deserialize(keras.layers.serialize(layer))
    assert copy.get_config() == layer.get_config()
    copy.build((None, 5, 6, 7))
    starts = [numpy_of(weight) for weight in copy.weights]
    assert {start.shape for start in starts} == {shape}
    assert [start.max() for start in starts] == pytest.approx([1, 0, -2, 0.2])


def test_srelu_sets_its_right_threshold_by_what_it_reads(generator):
    layer = s_shaped_layer()
    x = generator.normal(size=(40, 5, 6, 2)).astype("float32") * [3, 1] + [0, -9]
    layer.adapt(x, 0.9)
    right = numpy_of(layer.t_right).ravel()
    assert right[0] == pytest.approx(np.sort(x[..., 0].ravel())[int(0.9 * 1200)], abs=0.05)
    assert right[1] == pytest.approx(0.25)  # nine in ten are far below the left threshold
    for wrong, message in (
        (np.full((4, 5, 6, 2), np.nan), "expected finite inputs"),
        (x[:0], r"got \(0, 5, 6, 2\)"),
        (np.ones((4, 5, 6, 3)), r"for weights \(1, 1, 2\), got \(4, 5, 6, 3\)"),
    ):
        with pytest.raises(ValueError, match=message):
            layer.adapt(wrong)
    for unfit, share in ((layer, 2), (SReLU(), 0.5)):
        with pytest.raises(ValueError, match="a built layer and a share from 0 to 1"):
            unfit.adapt(x, share)
    with pytest.raises(ValueError, match=r"expected axes from 1 to 3 to share, got \[0, 1\]"):
        SReLU(shared_axes=[0, 1]).build((None, 5, 6, 2))
    with pytest.raises(ValueError, match=r"not shared, got shape \(None, None, 6, 2\)"):
        SReLU(shared_axes=[2]).build((None, None, 6, 2))


def test_srelu_works_in_half_precision():
    half = SReLU(dtype="bfloat16")
    half(np.zeros((1, 2), "float32"))
    half.adapt(np.ones((4, 2)))
    assert numpy_of(half.t_right).tolist() == [1, 1]
