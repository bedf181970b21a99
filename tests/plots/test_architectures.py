"""The figures on receptive fields and architectures show the numbers that they were given."""

import numpy as np
from matplotlib.patches import Rectangle

from evalib.plots import architectures as network_plots


def test_a_growing_field_is_framed_and_cut_out():
    photo = np.random.default_rng(0).integers(0, 256, (60, 60, 3), dtype=np.uint8)
    regions = {
        "first": (slice(28, 31), slice(28, 31)),
        "second": (slice(25, 34), slice(26, 33)),
    }
    figure = network_plots.show_growing_field(photo, regions, {"second": 20})
    whole, *pieces = [axes for axes in figure.axes if axes.images]
    frames = [patch for patch in whole.patches if isinstance(patch, Rectangle)]
    assert [(f.get_height(), f.get_width()) for f in frames] == [(3, 3), (9, 7), (20, 20)]
    # Pixel 25 is drawn from 24.5 on.
    assert frames[1].get_xy() == (25.5, 24.5)
    assert [axes.get_title() for axes in pieces] == ["first\n3x3", "second\n9x7"]
    assert (np.asarray(pieces[1].images[0].get_array()) == photo[25:34, 26:33]).all()


def test_architectures_are_drawn_with_their_numbers():
    figure = network_plots.show_architectures(
        {"a": {56: 64, 28: 128}, "b": {56: 32}},
        {"a": (2_000_000, 1_000_000), "b": (500_000, 0)},
        {"a": (99, 224), "b": (33, 224)},
    )
    way, weights, seen = figure.axes
    assert [np.asarray(line.get_ydata()).tolist() for line in way.lines] == [[64, 128], [32]]
    widths = [patch.get_width() for patch in weights.patches if isinstance(patch, Rectangle)]
    assert widths == [2.0, 0.5, 1.0, 0.0]
    assert [patch.get_width() for patch in seen.patches if isinstance(patch, Rectangle)] == [99, 33]
