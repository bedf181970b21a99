"""Augmentation against SciPy; blocks, SReLU and sub-pixel convolution against arithmetic."""

import keras
import numpy as np
import pytest
from keras import layers, ops
from scipy import ndimage

from evalib.networks.gradients import input_gradient
from evalib.networks.layers import ICNR, RandomAffine, SReLU, SubPixel, conv_block, transition_block
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


@pytest.mark.parametrize(("seed", "setting"), [*enumerate(["float32", *SETTINGS])])
def test_any_movement_agrees_with_scipy_in_every_setting(mnist, set_keras, seed, setting):
    set_keras(setting)
    digit = mnist[0][0][0].astype("float32") / 255
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
    np.testing.assert_allclose(found, expected, atol=0.02 if "16" in setting else 1e-4)


def test_a_share_of_the_images_moves_each_its_own_way_and_the_others_stay_bit_by_bit(mnist):
    same = np.repeat(mnist[0][0][:1, ..., np.newaxis], 2000, axis=0).astype("float32")
    layer = affine(seed=1, share=0.3)
    np.testing.assert_array_equal(numpy_of(layer(same)), same)  # outside training
    after = numpy_of(layer(same, training=True))
    moved = (after != same).any(axis=(1, 2, 3))
    # Three standard deviations of a binomial share: 3 * sqrt(0.3 * 0.7 / 2000).
    assert moved.mean() == pytest.approx(0.3, abs=0.031)
    assert len({image.tobytes() for image in after[moved][:16]}) == 16


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
        ({"rotation": (-5, 5)}, r"0 to 180 degrees, got \(-5, 5\)"),
        ({"scale": 1.0}, "below 1, got 1.0"),
        ({"shear": np.inf}, "finite shear"),
        ({"shift": -1}, "shift of at least 0, got -1"),
        ({"share": 0}, "above 0 and up to 1, got 0"),
    ],
)
def test_bounds_out_of_range_and_shapes_that_are_no_images_are_refused(bounds, message, set_keras):
    with pytest.raises(ValueError, match=message):
        affine(**bounds)
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
def test_a_block_names_its_layers_and_shrinks_by_two_per_convolution(setting, set_keras):
    set_keras(setting)
    inputs = keras.Input((28, 26, 1))
    filters = map(int, "46") if setting == "float32" else np.array([4, 6])
    model = keras.Model(inputs, conv_block(inputs, filters, name="b", pool_first=True))
    names = ["b_conv1", "b_pool", "b_norm1", "b_relu1", "b_conv2", "b_norm2", "b_relu2"]
    assert [layer.name for layer in model.layers[1:]] == names
    assert model.output_shape == (None, 11, 10, 6)  # 28 - 2 = 26, halved 13, - 2 = 11
    assert model.count_params() == 9 * 4 + 4 * 4 + 9 * 4 * 6 + 4 * 6
    plain = keras.Model(inputs, conv_block(inputs, [4, 6], name="p", normalize=False))
    assert [layer.name for layer in plain.layers[1:]] == ["p_conv1", "p_conv2"]
    assert plain.get_layer("p_conv2").activation is keras.activations.relu
    assert plain.count_params() == (9 * 4 + 4) + (9 * 4 * 6 + 6)


def test_a_transition_halves_the_image_and_mixes_the_channels(generator, set_keras):
    set_keras("channels_first")
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
    for block in (conv_block, transition_block):
        with pytest.raises(ValueError, match="expected positive whole numbers as filters, got"):
            block(keras.Input((28, 28, 1)), filters, name="b")
    with pytest.raises(ValueError, match=r"\(None, 28, 28\)"):
        conv_block(keras.Input((28, 28)), [4], name="b")


def s_shaped(x, t_right, a_right, t_left, a_left):
    """The paper's formula, in NumPy."""
    cases = [x >= np.array(t_right), x <= np.array(t_left)]
    ends = [(t_right, a_right), (t_left, a_left)]
    return np.select(cases, [np.array(t) + np.array(a) * (x - np.array(t)) for t, a in ends], x)


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
    assert flat(np.zeros((2, 9), "float32")).shape == (2, 9)
    assert (layer.count_params(), flat.count_params()) == (8, 36)


def test_the_thresholds_of_srelu_stay_in_order_while_they_are_trained(generator, tmp_path):
    model = keras.Sequential([keras.Input((5, 6, 2)), s_shaped_layer()])
    x = generator.normal(size=(64, 5, 6, 2)).astype("float32") * 2
    model.save(tmp_path / "model.keras")
    network = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy_of(network(x)), numpy_of(model(x)))
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
    for wrong in (np.full((4, 5, 6, 2), np.nan), x[:0], np.ones((4, 5, 6, 3))):
        with pytest.raises(
            ValueError, match=r"expected finite inputs for weights \(1, 1, 2\), got"
        ):
            layer.adapt(wrong)
    half = SReLU(dtype="bfloat16")
    half(np.zeros((1, 2), "float32"))
    half.adapt(np.ones((4, 2)))
    assert numpy_of(half.t_right).tolist() == [1, 1]
    for unfit, share in ((layer, 2), (SReLU(), 0.5)):
        with pytest.raises(ValueError, match="a built layer and a share from 0 to 1"):
            unfit.adapt(x, share)


@pytest.mark.parametrize(("factor", "channels"), [(1, 2), (2, 3), (3, 1)])
def test_channels_become_pixels_in_tensorflows_order(factor, channels):
    shape = (2, 3, 4, channels * factor**2)
    values = np.arange(np.prod(shape), dtype="float32").reshape(shape)
    enlarged = numpy_of(SubPixel(factor)(values))
    assert enlarged.shape == (2, 3 * factor, 4 * factor, channels)
    for image, y, x, c in np.ndindex(enlarged.shape):
        depth = (y % factor * factor + x % factor) * channels + c
        assert enlarged[image, y, x, c] == values[image, y // factor, x // factor, depth]


@pytest.mark.parametrize(("factor", "channels"), [(2, 3), (3, 1)])
def test_icnr_starts_as_a_nearest_neighbor_resize(factor, channels, generator):
    images = ops.convert_to_tensor(generator.integers(0, 256, (2, 6, 5, 3)), "float32")
    # Whole numbers keep every sum exact, in whatever order a backend adds.
    wide = layers.Conv2D(channels * factor**2, 3, kernel_initializer=ICNR(factor))
    wide.build(images.shape)
    wide.kernel.assign(ops.round(wide.kernel * 100))
    narrow = layers.Conv2D(channels, 3)
    narrow.build(images.shape)
    narrow.kernel.assign(wide.kernel[..., :channels])
    enlarged = numpy_of(SubPixel(factor)(wide(images)))
    resized = layers.UpSampling2D(factor, interpolation="nearest")(narrow(images))
    np.testing.assert_array_equal(enlarged, numpy_of(resized))
    assert np.ptp(enlarged) > 0


@pytest.mark.parametrize("setting", ["float32", *SETTINGS[1:]])
def test_a_model_of_any_size_is_saved_and_loaded(tmp_path, set_keras, generator, setting):
    set_keras(setting)
    start = ICNR(3, "he_normal")
    parts = [layers.Conv2D(9, 3, kernel_initializer=start), SubPixel(np.array([3])[0])]
    model = keras.Sequential([keras.Input((None, None, 1)), *parts])
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = generator.normal(size=(2, 4, 5, 1)).astype("float32")
    assert loaded(images).shape == (2, 6, 9, 1)
    np.testing.assert_array_equal(numpy_of(model(images)), numpy_of(loaded(images)))
    assert loaded.layers[0].kernel_initializer.get_config() == start.get_config()


@pytest.mark.parametrize("factor", [0, 2.0, "2", None])
def test_factors_channels_and_axes_that_do_not_fit_are_refused(factor):
    for make in (SubPixel, ICNR):
        with pytest.raises(ValueError, match="positive whole numbers as the factor, got"):
            make(factor)
    for shape in ((1, 5, 5, 6), (1, 5, 4)):
        with pytest.raises(ValueError, match=r"height, width, multiple of 4\), got \(1, 5, "):
            SubPixel(2)(np.zeros(shape, "float32"))
    with pytest.raises(ValueError, match=r"multiple of 4 kernels, got shape \(3, 3, 1, 6\)"):
        ICNR(2)((3, 3, 1, 6))
    for axes, message in (([0, 1], "from 1 to 3 to share, got"), ([2], "not shared, got shape")):
        with pytest.raises(ValueError, match=message):
            SReLU(shared_axes=axes).build((None, None, 6, 2))
