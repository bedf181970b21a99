"""What the figures on activation functions say, read back from their parts."""

from typing import Any

import numpy as np
import pytest

from evalib.networks.activations import FAMILY
from evalib.plots import activations as activation_plots


def lines(axes: Any) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Label to places and values of each line with a label."""
    drawn = [(line.get_label(), line) for line in axes.lines]
    return {label: line.get_data() for label, line in drawn if not label.startswith("_")}


def test_the_family_is_drawn_with_formulas_and_broken_where_slopes_jump():
    family = {name: FAMILY[name] for name in ("tanh", "selu", "hard_silu")}
    figure = activation_plots.show_family(family, columns=2, limit=3.5)
    panels: list[Any] = [axes for axes in figure.axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in panels] == [
        "tanh", "SELU", "hard SiLU or hard Swish"
    ]  # fmt: skip
    assert [axes.texts[0].get_text() for axes in panels] == [
        f"${one.formula}$" for one in family.values()
    ]
    x, values = lines(panels[0])["the function"]
    np.testing.assert_allclose(values, np.tanh(x), atol=1e-6)
    x, slopes = lines(panels[0])["its derivative"]
    np.testing.assert_allclose(slopes, 1 / np.cosh(x) ** 2, atol=1e-6)
    for axes, kinks in zip(panels[1:], ([0], [-3, 3]), strict=True):
        x, slopes = lines(axes)["its derivative"]
        np.testing.assert_array_equal(x[np.isnan(slopes)], kinks)
        assert (np.diff(x) >= 0).all()


def test_variances_out_of_range_are_drawn_at_the_edge():
    moments = {"calm": (np.zeros(3), np.ones(3)), "wild": (np.ones(3), np.array([0, 1, 1e9]))}
    figure = activation_plots.show_depth(moments, floor=1e-3, top=1e2)
    grid: list[Any] = figure.axes
    left, right = grid
    assert [line.get_ydata().tolist() for line in left.lines[:2]] == [[0, 0, 0], [1, 1, 1]]
    drawn = lines(right)
    assert drawn["wild"][1].tolist() == [1e-3, 1, 1e2]
    assert drawn["wild"][0].tolist() == [1, 2, 3]


def test_every_channel_has_its_line_and_the_start_is_dashed():
    x = np.linspace(-1, 2, 4)
    panel = x, np.stack([x, 2 * x, 3 * x]), 0.5 * x
    figure = activation_plots.show_learned({"A": {"one": panel, "two": panel}, "B": {"one": panel}})
    grid: list[Any] = figure.axes
    assert [axes.get_title() for axes in grid] == ["one", "two", "one", ""]
    assert [axes.get_ylabel() for axes in grid] == ["A", "", "B", ""]
    *curves, start = [line.get_ydata() for line in grid[0].lines[2:]]
    np.testing.assert_allclose(curves, panel[1])
    np.testing.assert_allclose(start, panel[2])
    assert grid[0].lines[-1].get_linestyle() == "--"
    assert not grid[3].axison


def test_the_race_draws_means_and_the_range_of_what_is_highlighted():
    marks = [20, 40, 80]
    errors = {
        "fast": np.array([[50, 10, 1], [70, 30, 3]]),
        "slow": np.array([[90, 80, 70]]),
        "slower": np.array([[91, 90, 89]]),
    }
    figure = activation_plots.show_race(marks, errors, ["fast"], 5)
    axes: Any = figure.axes[0]
    drawn = lines(axes)
    assert list(drawn) == ["the others", "fast"]
    assert drawn["fast"][1].tolist() == [60, 20, 2]
    (band,) = axes.collections
    assert band.get_paths()[0].get_extents().bounds == pytest.approx((20, 1, 60, 69))
    shades = {line.get_color() for line in axes.lines[:2]}
    assert len(shades) == 1
    assert axes.lines[-1].get_ydata() == [5, 5]


def test_the_ranking_is_in_order_and_says_never():
    panels = {
        "error": {"worse": [4.0, 6.0], "better": [1.0, 3.0], "worst": [9.0, 9.0]},
        "steps": {"worse": [100.0], "better": [50.0, 70.0], "worst": []},
    }
    figure = activation_plots.show_ranking(panels, reference="better")
    grid: list[Any] = figure.axes
    left, right = grid
    assert [label.get_text() for label in left.get_yticklabels()] == ["better", "worse", "worst"]
    marks = [line for line in left.lines if line.get_marker() == "|"]
    assert [float(np.ravel(line.get_xdata())[0]) for line in marks] == [2, 5, 9]
    points = [line.get_xdata().tolist() for line in right.lines if line.get_marker() == "o"]
    assert points == [[50, 70], [100]]
    assert [(text.get_text(), text.get_position()[1]) for text in right.texts] == [("never", 2)]
    band: Any = left.patches[0]
    low, high = band.get_extents().transformed(left.transData.inverted()).intervalx
    assert (low, high) == pytest.approx((2 - np.sqrt(2), 2 + np.sqrt(2)))
