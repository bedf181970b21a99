"""What the figures of effective fields say, read back from their parts."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.patches import Rectangle

from evalib.plots import receptive_fields as field_plots
from evalib.plots.style import BLUE, ORANGE


def bell(side: int, sigma: float) -> np.ndarray:
    places = np.arange(side) - side // 2
    return np.exp(-(places**2 + places[:, np.newaxis] ** 2) / (2 * sigma**2))


def block(side: int, width: int) -> np.ndarray:
    """A field whose effective size is known: ones in the middle, zeros around."""
    start = (side - width) // 2
    field = np.zeros((side, side))
    field[start : start + width, start : start + width] = 1
    return field


def outlines(axes: plt.Axes) -> dict[str, tuple[float, ...]]:
    """Color to (top, left, height, width) of the squares, counted from the corner of pixel 0."""
    return {
        to_hex(patch.get_edgecolor()): (
            patch.get_y() + 0.5,
            patch.get_x() + 0.5,
            patch.get_height(),
            patch.get_width(),
        )
        for patch in axes.patches
        if isinstance(patch, Rectangle)
    }


def test_the_field_lies_where_it_was_put_on_the_photograph():
    photo = np.full((40, 50, 3), 100, np.uint8)
    whole, piece, profile = field_plots.show_field_on_photo(photo, block(21, 5), (3, 7)).axes
    assert outlines(whole) == {ORANGE: (3, 7, 21, 21), BLUE: (11, 15, 5, 5)}
    assert outlines(piece) == {ORANGE: (0, 0, 21, 21), BLUE: (8, 8, 5, 5)}
    # Full influence shows the photograph, none shows white paper.
    drawn = np.asarray(piece.images[0].get_array())
    assert (drawn[8:13, 8:13] == 100).all()
    assert (drawn[:8] == 255).all()
    assert len(profile.patches) == 21
    labels = [text.get_text() for text in profile.get_legend().get_texts()]
    assert "bell, σ = 1.4" in labels


def test_a_gray_photograph_will_do():
    field_plots.show_field_on_photo(np.zeros((30, 30), np.uint8), bell(11, 2), (0, 0))


def test_fields_by_depth_are_a_grid_with_one_scale():
    fields = {kind: {5: bell(11, 2), 10: bell(21, 3)} for kind in ("equal", "random")}
    figure = field_plots.show_fields_by_depth(fields)
    drawn = [axes for axes in figure.axes if axes.images]
    assert [axes.get_ylabel() for axes in drawn] == ["equal", "", "random", ""]
    assert [axes.get_title() for axes in drawn][:2] == [
        "5 layers\n11x11 pixels",
        "10 layers\n21x21 pixels",
    ]
    assert {axes.images[0].get_clim() for axes in drawn} == {(0, 1)}


def test_growth_draws_sizes_and_their_shares():
    figure = field_plots.show_growth([5, 10], [11, 21], {"a": [8, 12]}, {"a": [8.1, 12.1]})
    left, right = figure.axes
    drawn = [np.asarray(line.get_ydata()).tolist() for line in left.lines]
    assert drawn == [[11, 21], [8, 12], [8.1, 12.1]]
    np.testing.assert_allclose(np.asarray(right.lines[1].get_ydata()), [8 / 11, 12 / 21])


def test_fields_over_images_state_their_size():
    fields = {"before": block(28, 4), "after": block(28, 6), "later": block(28, 8)}
    figure = field_plots.show_fields(fields, (4, 4, 20, 20), columns=2)
    drawn = [axes for axes in figure.axes if axes.get_xlabel()]
    assert [axes.get_title() for axes in drawn] == list(fields)
    assert [axes.get_xlabel() for axes in drawn] == [f"{side}.0 of 20 pixels" for side in (4, 6, 8)]
    assert outlines(drawn[1]) == {ORANGE: (4, 4, 20, 20), "#ffffff": (11, 11, 6, 6)}
