"""What the figures about windows say, read back from their parts."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Rectangle

from evalib.plots import patches as window_plots

SHADE = 0.5 / 15 + 1e-9  # Half a step between two of the shades that photographs are drawn in.


def drawn(axes: plt.Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def boxes(axes: plt.Axes) -> list[tuple[float, ...]]:
    """Top, left, height and width of the frames, counted from the corner of pixel 0."""
    frames = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    return [
        (frame.get_y() + 0.5, frame.get_x() + 0.5, frame.get_height(), frame.get_width())
        for frame in frames
    ]


def extents(axes: plt.Axes) -> tuple[int, int]:
    """Height and width in the figure's pixels."""
    box = axes.get_window_extent()
    return round(box.height), round(box.width)


@pytest.fixture
def photo(generator: np.random.Generator) -> np.ndarray:
    return generator.integers(0, 256, (100, 100, 3), dtype=np.uint8)


def test_windows_are_cut_where_their_frames_are(photo):
    figure = window_plots.show_windows(photo, {"a": (20, 30), "b": (60, 50)}, (3, 4))
    whole, *windows = figure.axes
    assert boxes(whole) == [(19, 29, 3, 3), (18, 28, 4, 4), (59, 49, 3, 3), (58, 48, 4, 4)]
    for axes, (top, left, height, width) in zip(windows, boxes(whole), strict=True):
        cut = photo[int(top) : int(top + height), int(left) : int(left + width)]
        np.testing.assert_allclose(drawn(axes), cut / 255, atol=SHADE)
    np.testing.assert_allclose(drawn(whole), photo / 255, atol=SHADE)
    assert [axes.get_title() for axes in windows] == ["3x3", "4x4", "", ""]
    assert [axes.get_ylabel() for axes in windows] == ["a", "", "b", ""]
    assert [text.get_text() for text in whole.texts] == ["a", "b"]


def test_windows_are_drawn_at_one_size_and_the_photograph_pixel_by_pixel(photo):
    figure = window_plots.show_windows(photo, {"a": (20, 30), "b": (60, 50)}, (3, 5, 9))
    whole, *windows = figure.axes
    assert extents(whole) == (100, 100)
    assert {extents(axes) for axes in windows} == {(47, 47)}
    lefts = [axes.get_window_extent().x0 for axes in windows[:3]]
    assert whole.get_window_extent().x1 < lefts[0] < lefts[1] < lefts[2]
    assert windows[2].get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize("place", [(1, 50), (50, 98), (-40, 50), (50, 140)])
def test_windows_beyond_the_photograph_are_refused(photo, place):
    with pytest.raises(ValueError, match="inside of 100x100 pixels, got one of .* around"):
        window_plots.show_windows(photo, {"near the border": place}, (3, 5))


def test_windows_may_touch_the_border(photo):
    whole, *windows = window_plots.show_windows(photo, {"a": (2, 97)}, (5,)).axes
    assert boxes(whole) == [(0, 95, 5, 5)]
    np.testing.assert_allclose(drawn(windows[0]), photo[:5, 95:] / 255, atol=SHADE)


def test_scores_are_drawn_as_mean_and_spread_in_percent():
    scores = {"one": np.array([[0.2, 0.5], [0.4, 0.7]]), "two": np.array([[0.1, 0.1], [0.1, 0.1]])}
    figure = window_plots.show_scores_by_size([3, 11], scores, chance=0.125, marked=11)
    lines: dict[str, Any] = {str(line.get_label()): line for line in figure.axes[0].lines}
    np.testing.assert_allclose(lines["one"].get_ydata(), [30, 60])
    np.testing.assert_allclose(lines["two"].get_ydata(), [10, 10])
    assert set(lines["chance"].get_ydata()) == {12.5}
    assert [set(line.get_xdata()) for line in lines.values()].count({11}) == 1
    bands: list[Any] = list(figure.axes[0].collections)
    # The deviation of two values from their mean is half their difference, times the root of two.
    heights = bands[0].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(60 + 10 * np.sqrt(2))
    assert heights.min() == pytest.approx(30 - 10 * np.sqrt(2))
    assert np.ptp(bands[1].get_paths()[0].vertices[:, 1]) == pytest.approx(0)
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["3", "11"]


def made_tour(photo: np.ndarray, size: int, side: int) -> tuple[plt.Figure, np.ndarray]:
    """A tour of one layer with two maps, whose peaks are 9 at (2, 3) and 4 at (5, 1)."""
    maps = np.zeros((2, size, size))
    maps[0, 2, 3], maps[0, 4, 4], maps[1, 5, 1] = 9, 1, 4
    regions = [(slice(10, 15), slice(20, 25)), (slice(40, 70), slice(60, 90))]
    figure = window_plots.show_tour(
        photo, {"layer": maps}, {"layer": [(2, 3), (5, 1)]}, {"layer": regions}, side=side
    )
    return figure, maps


def test_a_tour_marks_peaks_and_cuts_what_they_see(photo):
    figure, maps = made_tour(photo, 8, 100)
    whole, first, first_patch, second, second_patch = figure.axes
    assert boxes(whole) == [(10, 20, 5, 5), (40, 60, 30, 30)]
    assert [text.get_text() for text in whole.texts] == ["1", "2"]
    assert whole.get_ylabel() == "layer"
    np.testing.assert_allclose(drawn(first_patch), photo[10:15, 20:25] / 255, atol=SHADE)
    np.testing.assert_allclose(drawn(second_patch), photo[40:70, 60:90] / 255, atol=SHADE)
    np.testing.assert_allclose(drawn(first), np.sqrt(maps[0]) / 3)
    np.testing.assert_allclose(drawn(second), np.sqrt(maps[1]) / 2)
    for axes, (row, column) in ((first, (2, 3)), (second, (5, 1))):
        ring: Any = axes.lines[0]
        assert (ring.get_ydata()[0], ring.get_xdata()[0]) == (row, column)
    assert {extents(axes) for axes in figure.axes} == {(100, 100)}


def test_maps_with_more_values_than_pixels_keep_their_peaks(photo):
    figure, maps = made_tour(photo, 100, 50)
    whole, first, *_ = figure.axes
    assert drawn(first).shape == (50, 50)
    assert drawn(first)[1, 1] == 1  # (2, 3) falls into the second square of both axes.
    assert drawn(first)[2, 2] == pytest.approx(1 / 3)
    assert np.count_nonzero(drawn(first)) == np.count_nonzero(maps[0])
    # Rings and frames still count in the map's and in the photograph's own pixels.
    ring: Any = first.lines[0]
    assert (ring.get_ydata()[0], ring.get_xdata()[0]) == (2, 3)
    assert tuple(first.images[0].get_extent()) == (-0.5, 99.5, 99.5, -0.5)
    squares = photo.reshape(50, 2, 50, 2, 3).mean(axis=(1, 3)) / 255
    np.testing.assert_allclose(drawn(whole), squares, atol=SHADE)


def test_labels_stay_inside_the_photograph(photo):
    whole = made_tour(photo, 8, 100)[0].axes[0]
    left, right = whole.texts
    assert (
        left.get_horizontalalignment() == "left"
    )  # to the right of its frame, where there is room
    assert right.get_horizontalalignment() == "right"
