"""What the figures about coverage say, read back from their parts."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from evalib.features.overlap import kernel_overlap
from evalib.plots import overlap as coverage_plots


def drawn(figure: plt.Figure) -> list[np.ndarray]:
    figure.canvas.draw()
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def boxes(figure: plt.Figure) -> set[tuple[float, float]]:
    """Widths and heights of all axes in the figure's pixels."""
    extents = [axes.get_window_extent() for axes in figure.axes]
    return {(round(box.width, 6), round(box.height, 6)) for box in extents}


def test_the_counts_stand_in_their_squares():
    figure = coverage_plots.show_coverage(
        {"even": kernel_overlap(3, 1), "uneven": kernel_overlap(5, 3, 2)}
    )
    assert [axes.get_title() for axes in figure.axes] == ["even", "uneven"]
    numbers = {text.get_position(): text.get_text() for text in figure.axes[1].texts}
    assert len(numbers) == 25
    assert numbers[2, 2] == "4"
    assert numbers[2, 0] == "2"
    assert numbers[0, 0] == "1"
    np.testing.assert_array_equal(drawn(figure)[0], np.ones((3, 3)))


def test_closeups_are_cut_from_their_pictures_and_drawn_pixel_by_pixel(generator):
    gray = generator.uniform(size=(30, 30))
    color = generator.integers(0, 256, (30, 30, 3), dtype=np.uint8)
    figure = coverage_plots.show_closeups({"gray": gray, "color": color}, (3, 8), 10)
    whole_gray, whole_color, part_gray, part_color = drawn(figure)
    np.testing.assert_allclose(whole_gray, gray, atol=0.5 / 23 + 1e-9)  # in a few shades
    np.testing.assert_allclose(whole_color, color / 255, atol=0.5 / 23 + 1e-9)
    np.testing.assert_array_equal(part_gray, whole_gray[3:13, 8:18])
    np.testing.assert_array_equal(part_color, whole_color[3:13, 8:18])
    frame: Any = figure.axes[0].patches[0]
    assert (frame.get_xy(), frame.get_width()) == ((7.5, 2.5), 10)
    assert boxes(figure) == {(30, 30)}


def test_the_spectrum_shows_the_period():
    rows, columns = np.indices((32, 24))
    board = ((rows + columns) % 2)[np.newaxis, ..., np.newaxis] * np.ones((2, 1, 1, 3))
    figure = coverage_plots.show_generated({"board": board}, {"board": "all grid"})
    *pictures, spectrum = drawn(figure)
    assert len(pictures) == 2
    assert (spectrum == 0).sum() == 1  # the strongest, as a power of ten
    assert spectrum[0, 0] == 0  # the highest frequency along both axes
    assert figure.axes[0].get_ylabel() == "board"
    assert [text.get_text() for text in figure.axes[-1].texts] == ["all grid"]
    assert boxes(figure) == {(48, 64)}


def test_flat_images_can_be_drawn():
    flat = np.full((1, 8, 8, 3), 0.5)
    for picture in drawn(coverage_plots.show_generated({"flat": flat}, {"flat": ""})):
        assert np.isfinite(picture).all()


def test_gradients_have_scales_of_their_own(generator):
    weak = generator.normal(size=(20, 20))
    figure = coverage_plots.show_gradients({"weak": weak, "strong": 100 * weak}, (2, 4), 5)
    limits = [axes.images[0].get_clim()[1] for axes in figure.axes]
    assert limits[:2] == limits[2:]
    assert limits[1] == pytest.approx(100 * limits[0])
    np.testing.assert_array_equal(drawn(figure)[2], weak[2:7, 4:9])


def test_contrast_enlarges_differences_from_the_mean():
    picture = np.full((4, 4, 3), 0.5)
    picture[::2] += 0.01
    picture[1::2] -= 0.01
    rows = {"plain": {"a": picture, "b": picture}, "strong": {"a": picture, "b": picture}}
    figure = coverage_plots.show_enlarged(rows, contrast=[1, 40], scale=5)
    spans = [np.ptp(image) for image in drawn(figure)]
    np.testing.assert_allclose(spans, [0.02, 0.02, 0.8, 0.8], atol=1 / 23)
    assert [axes.get_title() for axes in figure.axes] == ["a", "b", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["plain", "", "strong", ""]
    assert boxes(figure) == {(20, 20)}


def test_the_history_draws_numbers_below_the_floor_as_the_floor():
    figure = coverage_plots.show_pattern_history(
        [0, 1], {"one": [5, 1], "none": [0, 1e-9]}, x_label="epoch", y_label="grid", floor=1e-3
    )
    curves: list[Any] = list(figure.axes[0].lines)
    assert [curve.get_ydata().tolist() for curve in curves] == [[5, 1], [1e-3, 1e-3]]
    assert [curve.get_label() for curve in curves] == ["one", "none"]
