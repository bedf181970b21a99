"""What figures compute: scales, colors, pixels, refusals, moving pictures."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from evalib import plots
from evalib.plots.primitives import to_unit_range


@pytest.fixture(autouse=True)
def _style():
    with plt.rc_context():
        plots.use_style()
        yield


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        ([0, 1], "uint8", [0, 1 / 255]),  # a dark picture, not black and white
        ([0, 51, 255], "int64", [0, 0.2, 1]),
        ([0, 51.0, 127.5], "float32", [0, 0.2, 0.5]),
        ([0, 0.2, 1], "float16", [0, 0.2, 1]),
        ([False, True], "bool", [0, 1]),
        ([-1e-8, 1 + 1e-7], "float64", [0, 1]),  # rounding
    ],
)
def test_scales_of_pictures_are_told_apart(values, kind, expected):
    assert to_unit_range(np.array(values, kind)) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("values", [[-0.5, 0.5], [0, 7.3], [0, 9], [0, 300], [np.nan, 1]])
def test_a_scale_that_cannot_be_told_is_refused(values):
    with pytest.raises(ValueError, match="from 0 to 1 or 255, or limits, got"):
        plots.show_images([np.array([values])])


def test_signed_colors_have_white_at_zero_and_each_its_own_scale():
    values = np.array([[[-1.0, 0, 1]], [[-8, 0, 4]]])
    together, each = plots.colorize(values), plots.colorize(values, limits="each")
    white = plots.colorize(np.zeros((1, 1)))[0, 0]
    assert white.min() > 0.95
    assert (together[:, 0, 1] == white).all()
    assert np.ptp(together[0]) < np.ptp(each[0])  # pale beside the larger values
    for one, alone in zip(values, each, strict=True):
        assert (plots.colorize(one) == alone).all()
    outlier = np.append(np.linspace(-1, 1, 999), 50)[np.newaxis]
    same = plots.colorize(outlier, limits=99) == plots.colorize(outlier, limits=(-0.98, 0.98))
    assert same.mean() > 0.97


@pytest.mark.parametrize(("height", "width", "scale"), [(4, 6, 5), (63, 49, 1)])
def test_every_pixel_of_a_picture_becomes_a_square(height, width, scale):
    pictures = np.random.default_rng(0).integers(0, 2, (3, height, width))
    side = scale * max(height, width) + 0.5
    figure = plots.show_images(pictures, ["a", "b\nb", "c"], labels=["one", "two"], side=side)
    file = io.BytesIO()
    figure.savefig(file)
    drawn = np.asarray(Image.open(file).convert("L"))
    for axes, picture in zip(figure.axes, pictures, strict=True):
        left, bottom, right, top = np.rint(axes.get_window_extent().extents).astype(int)
        part = drawn[drawn.shape[0] - top : drawn.shape[0] - bottom, left:right]
        assert np.array_equal(part, 255 * np.kron(picture, np.ones((scale, scale))))


def test_what_does_not_fit_together_is_refused():
    four = np.zeros((4, 5, 5))
    for images, labels in ((four[..., None] * [1, 2], ()), ([], ()), (four, ["a", "b", "c"])):
        with pytest.raises(ValueError, match="expected pictures"):
            plots.show_images(images, labels=labels, columns=4)


def test_a_moving_picture_holds_every_frame():
    frames = [np.full((8, 12, 3), shade, "uint8") for shade in (0, 90, 255)]
    picture = Image.open(io.BytesIO(plots.animate(frames, seconds=0.2).data))
    assert (picture.format, getattr(picture, "n_frames", 1), picture.size) == ("PNG", 3, (12, 8))
    for number, frame in enumerate(frames):
        picture.seek(number)
        assert picture.info["duration"] == 200
        assert np.abs(np.asarray(picture.convert("RGB"), int) - frame).max() <= 6
    figures = [plots.show_lines({"loss": ([1, 2], [2, end])}) for end in (1.0, 0.1)]
    picture = Image.open(io.BytesIO(plots.animate(figures).data))
    assert (getattr(picture, "n_frames", 1), plt.get_fignums()) == (2, [])  # figures are closed
    for wrong in (frames[:1], [frames[0], frames[1][:4]]):
        with pytest.raises(ValueError, match="two or more frames of one size"):
            plots.animate(wrong)


def test_figures_of_a_subject_can_be_drawn():
    steps = np.linspace(0.1, 1, 5)
    paths = {name: np.stack([steps, steps**2], axis=1) for name in ("SGD", "Adam")}
    plots.show_paths(lambda x, y: x**2 + y**2, {"a bowl": paths}, (-1, 1, -1, 1))
    plots.show_kernels({"gray": np.ones((3, 3, 1, 32)), "color": np.ones((7, 7, 3, 16))})
    plots.show_bars({"weights": {"one": 3, "two": 9408, "three": 5_000_000}}, highlight="two")
    curves = {"a": (steps, np.exp([steps, 2 * steps])), "b": (steps, 1 + steps)}
    plots.show_lines({"left": curves, "right": curves}, log="y").canvas.draw()
    with pytest.raises(ValueError, match="1 or 3"):
        plots.kernel_pictures(np.zeros((3, 3, 2, 5)))
    with pytest.raises(ValueError, match="did training diverge"):
        plots.kernel_pictures(np.full((3, 3, 1, 5), np.nan))
    with pytest.raises(ValueError, match="from 0 to 1, got"):
        plots.show_seed_scores([99.4, 99.5], [0, 1])
    assert plots.show_images([np.eye(4)] * 2, np.array([3, 7])).axes[1].get_title() == "7"
