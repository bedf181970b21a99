"""What the figures about filters say, read back from their parts."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np

from evalib.data.letters import Line, draw_page
from evalib.filters import SOBEL_X
from evalib.plots import filters as filter_plots


def drawn(figure: plt.Figure) -> list[np.ndarray]:
    figure.canvas.draw()
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def lines(axes: Any) -> list[Any]:
    """The axes' lines; matplotlib's types leave open what their data are."""
    return list(axes.lines)


def texts(figure: plt.Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def titles(figure: plt.Figure) -> list[str]:
    return [axes.get_title(loc) for axes in figure.axes for loc in ("center", "left")]


def test_the_photo_channels_are_those_of_the_photo(generator):
    photo = generator.integers(0, 256, (6, 7, 3), dtype=np.uint8)
    whole, *channels = drawn(filter_plots.show_photo_channels(photo))
    np.testing.assert_allclose(whole, photo / 255, atol=1 / 60)  # in a few shades
    np.testing.assert_allclose(np.stack(channels, axis=-1), photo / 255, atol=1 / 60)


def test_the_letter_channel_counts_its_marks(generator):
    page = generator.uniform(size=(20, 40))
    channel = np.zeros((20, 40))
    channel[10, 20] = 1
    marks = {
        "found": np.array([[10, 20]]),
        "missed": np.empty((0, 2)),
        "false alarm": np.array([[1, 2]]),
    }
    figure = filter_plots.show_letter_channel(page, np.eye(3), channel, marks, spread=3)
    legend = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert legend == ["found: 1", "missed: 0", "false alarm: 1"]
    assert drawn(figure)[2].sum() == 9


def test_the_variants_are_named_line_by_line():
    page, letters = draw_page([Line("ee"), Line("ae", weight="bold")], width=80)
    places = np.array([(letter.row, letter.column) for letter in letters])
    figure = filter_plots.show_letter_variants(page, ["plain", "bold"], {"here": places})
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["plain", "bold"]
    np.testing.assert_allclose(np.asarray(axes.collections[0].get_offsets()), places[:, ::-1])


def test_pictures_are_drawn_pixel_by_pixel(generator):
    picture = generator.uniform(size=(30, 40, 3))
    figure = filter_plots.show_pictures({"one": picture, "two": picture[..., 0]})
    assert titles(figure)[::2] == ["one", "two"]
    figure.canvas.draw()
    for axes in figure.axes:
        box = axes.get_window_extent()
        assert (round(box.width), round(box.height)) == (40, 30)


def test_recolored_pictures_come_in_three_rows(generator):
    photos = [generator.uniform(size=(8, 8, 3)) for _ in range(2)]
    edges = [generator.uniform(size=(8, 8)) for _ in range(2)]
    figure = filter_plots.show_recolored(photos, photos[::-1], edges)
    assert len(drawn(figure)) == 6
    labels = [axes.get_ylabel() for axes in figure.axes]
    assert labels == ["photograph", "", "recolored", "", "edges", ""]


def test_filters_show_their_numbers_and_outputs(generator):
    photo, output = generator.uniform(size=(2, 9, 9))
    figure = filter_plots.show_filters(photo, {"Sobel-x": (SOBEL_X, output)})
    assert texts(figure) == ["−1", "0", "1", "−2", "0", "2", "−1", "0", "1"]
    np.testing.assert_array_equal(drawn(figure)[2], output)


def test_arrows_point_where_it_gets_brighter():
    gx, gy = np.zeros((2, 12, 12))
    gx[6, 6], gy[6, 6] = 3, 4
    gx[2, 2] = 5
    figure = filter_plots.show_gradient(np.zeros((12, 12)), gx, gy, step=4)
    arrows: Any = figure.axes[0].collections[0]
    assert sorted(zip(arrows.U.tolist(), arrows.V.tolist(), strict=True)) == [(3, 4), (5, 0)]
    hues = drawn(figure)[1]
    assert hues[0, 0].max() == 0
    assert hues[2, 2].argmax() == 0  # to the right is red


def test_each_border_has_its_panel():
    figure = filter_plots.show_borders(np.arange(12, dtype=np.uint8).reshape(3, 4), 2)
    assert titles(figure)[::2] == ["reflect", "constant", "nearest", "mirror", "wrap"]
    assert [picture.shape for picture in drawn(figure)] == [(7, 8)] * 5


def test_the_drift_is_drawn_against_the_center():
    pictures = {"input": np.eye(9), "moved": np.eye(9)}
    figure = filter_plots.show_drift(pictures, pictures, (2, 3))
    crosses = [lines(axes)[1].get_xdata()[0] for axes in figure.axes]
    assert crosses == [4, 4, 3, 3]


def test_stack_costs_are_written_at_the_points():
    one, stack = (
        {"weights": [9, 25], "products": [90, 250]},
        {"weights": [9, 18], "products": [9, 8]},
    )
    figure = filter_plots.show_stack_costs([3, 5], one, stack)
    assert texts(figure) == ["9", "9", "25", "18"]
    curves = [line.get_ydata().tolist() for axes in figure.axes for line in lines(axes)]
    assert curves == [[9, 25], [9, 18], [90, 250], [9, 8]]


def test_rims_share_a_scale(generator):
    coin, strong = generator.uniform(size=(2, 9, 9))
    figure = filter_plots.show_rims({"coin": coin, "strong": strong, "faint": strong / 100})
    limits = [axes.images[0].get_clim() for axes in figure.axes]
    assert limits[1] == limits[2]
    assert limits[1][0] == -limits[1][1]


def test_fits_tell_what_is_left(generator):
    kernels = generator.normal(size=(2, 5, 5))
    targets = {"a": kernels[0], "b": kernels[1]}
    figure = filter_plots.show_kernel_fits(targets, kernels, [0, 0.256])
    assert [axes.get_xlabel() for axes in figure.axes][2:] == ["0 % left over", "26 % left over"]


def test_chains_say_where_they_end():
    figure = filter_plots.show_chains({"long": [9, 7, 5, 3, 1], "short": [9, 4, 2, 1]})
    assert texts(figure) == ["1x1 after 4 layers", "1x1 after 3 layers"]
