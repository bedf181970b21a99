"""What the figures about features show, read back from their parts."""

import matplotlib.pyplot as plt
import numpy as np

from evalib.plots.features import show_feature_rows, show_features


def drawn(axes: plt.Axes) -> np.ndarray:
    return np.asarray(axes.images[0].get_array())


def test_each_picture_stands_beside_its_part_of_a_photograph(generator):
    rows = {
        label: [
            (f"channel {number}", generator.random((32, 32, 3)), generator.random((5, 6, 3)))
            for number in range(2)
        ]
        for label in ("near\nsees 5x6", "far")
    }
    figure = show_features(rows, side=64)
    figure.canvas.draw()
    assert len(figure.axes) == 8
    assert [axes.get_ylabel() for axes in figure.axes[::4]] == ["near\nsees 5x6", "far"]
    titles = [axes.get_title() for axes in figure.axes[:4]]
    assert titles == ["channel 0", "in a photograph", "channel 1", "in a photograph"]
    for axes, values in zip(
        figure.axes, [v for row in rows.values() for f in row for v in f[1:]], strict=True
    ):
        times = 64 // max(values.shape[:2])
        assert drawn(axes).shape == (times * values.shape[0], times * values.shape[1], 3)
        np.testing.assert_allclose(drawn(axes)[::times, ::times], values, atol=0.5 / 23 + 1e-9)
        assert axes.get_window_extent().width == 64


def test_titles_do_not_touch_the_row_above(generator):
    rows = {label: [("title", *generator.random((2, 8, 8, 3)))] for label in ("a", "b")}
    figure = show_features(rows)
    figure.canvas.draw()
    above, below = figure.axes[0], figure.axes[2]
    title = below.title.get_window_extent()
    assert below.get_window_extent().y1 <= title.y0
    assert title.y1 <= above.get_window_extent().y0


def test_rows_are_drawn_pixel_by_pixel(generator):
    rows = {"ours": generator.random((3, 20, 30, 3)), "theirs": generator.random((3, 20, 30, 3))}
    figure = show_feature_rows(rows, ["one", "two", "three"])
    assert [axes.get_title() for axes in figure.axes] == ["one", "two", "three", "", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["ours", "theirs"]
    np.testing.assert_allclose(drawn(figure.axes[4]), rows["theirs"][1], atol=0.5 / 23 + 1e-9)
    box = figure.axes[4].get_window_extent()
    assert (round(box.width, 6), round(box.height, 6)) == (30, 20)
