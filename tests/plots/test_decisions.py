"""What the figures about activation functions say, read back from their parts."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
from scipy import special

from evalib.plots import decisions as decision_plots


def drawn(figure: plt.Figure) -> list[np.ndarray]:
    figure.canvas.draw()
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def lines(axes: plt.Axes) -> list[tuple[list[float], list[float]]]:
    curves: list[Any] = list(axes.lines)
    return [(list(one.get_xdata()), list(one.get_ydata())) for one in curves]


def legend_texts(figure: plt.Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_regions_are_where_the_classifier_says_so(generator):
    points = np.array([[0, 0], [2, 0], [0, 1], [2, 1]], "float32")
    panels = {
        "right of 0.4": (points, np.array([0, 1, 0, 1]), lambda where: where[:, 0] - 0.4),
        "above 0.5": (points, np.array([0, 0, 1, 1]), lambda where: where[:, 1] - 0.5),
    }
    figure = decision_plots.show_decision_regions(panels)
    assert [axes.get_title() for axes in figure.axes] == list(panels)
    by_column, by_row = drawn(figure)
    # Both are squares around the points' middle, (1, 0.5), 1.2 times as wide as the points lie.
    for axes in figure.axes:
        assert axes.images[0].get_extent() == pytest.approx((-0.2, 2.2, -0.7, 1.7))
        assert axes.images[0].origin == "lower"
    assert (by_column == by_column[0]).all()
    assert by_column.mean() == pytest.approx(1.8 / 2.4, abs=0.01)
    assert (by_row == by_row[:, :1]).all()
    assert not by_row[0].any()
    assert by_row[-1].all()


def test_points_have_the_color_of_their_class():
    points = np.array([[0, 0], [1, 0], [0, 1]], "float32")
    figure = decision_plots.show_decision_regions(
        {"": (points, np.array([0, 1, 1]), lambda where: where[:, 0])}
    )
    first, second = lines(figure.axes[0])
    assert first == ([0], [0])
    assert second == ([1, 0], [0, 1])
    colors = [line.get_color() for line in figure.axes[0].lines]
    assert colors == [decision_plots.BLUE, decision_plots.ORANGE]


def test_kinks_lie_on_the_fit():
    x = np.linspace(0, 4, 41)
    values = np.maximum(x - 1, 0) - 2 * np.maximum(x - 3, 0)
    empty = np.zeros(0)
    figure = decision_plots.show_fits(
        x, x**2, {"above": {"two": (values, np.array([1.0, 3.0]))}, "below": {"none": (x, empty)}}
    )
    assert [axes.get_title() for axes in figure.axes] == ["two", "none"]
    assert [axes.get_ylabel() for axes in figure.axes] == ["above", "below"]
    target, fit, kinks = lines(figure.axes[0])
    np.testing.assert_array_equal(target[1], x**2)
    np.testing.assert_array_equal(fit[1], values)
    np.testing.assert_allclose(kinks, ([1, 3], [0, 2]))
    assert lines(figure.axes[1])[2] == ([], [])
    assert legend_texts(figure) == ["the curve", "the network", "a kink"]


def test_what_is_shaded_has_next_to_no_slope():
    x = np.linspace(-10, 10, 4001)
    rising, falling = special.expit(x), special.expit(x) * special.expit(-x)
    curves = {"sigmoid": (rising, falling), "line": (x, np.ones_like(x))}
    figure = decision_plots.show_saturation(x, curves)
    sigmoid, line = figure.axes
    spans: list[Any] = list(sigmoid.patches)
    edges = [(span.get_x(), span.get_x() + span.get_width()) for span in spans]
    edge = 2 * np.arctanh(np.sqrt(0.99))  # where the slope is a hundredth of a quarter
    np.testing.assert_allclose(edges, [(-10, -edge), (edge, 10)], atol=0.01)
    assert len(line.patches) == 0
    assert [line.get_label() for line in sigmoid.lines] == ["its derivative", "the function"]
    assert legend_texts(figure) == ["the function", "its derivative"]


def test_a_flat_middle_is_shaded_too():
    x = np.linspace(-3, 3, 601)
    slopes = np.where(np.abs(x) < 1, 0.0, 1.0)
    figure = decision_plots.show_saturation(x, {"soft threshold": (x, slopes)})
    span: Any
    (span,) = figure.axes[0].patches
    np.testing.assert_allclose((span.get_x(), span.get_width()), (-1, 2), atol=0.02)


def test_predictions_begin_at_the_last_layer():
    sizes, relative = np.array([0.02, 0.3, 5.0]), np.array([0.01, 0.1, 1.0])
    figure = decision_plots.show_gradient_sizes({"one": sizes}, {"one": relative})
    line, points = lines(figure.axes[0])
    assert points == ([1, 2, 3], sizes.tolist())
    np.testing.assert_allclose(line[1], [0.05, 0.5, 5.0])
    assert figure.axes[0].get_yscale() == "log"
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["one"]


def test_numbers_stand_in_their_fields_and_zero_is_white():
    maps = {"before": np.array([[4, -7, 0]]), "after": np.array([[4, 0, 0]])}
    figure = decision_plots.show_number_maps(maps)
    assert [axes.get_title() for axes in figure.axes] == ["before", "after"]
    texts = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert texts == {(0, 0): "4", (1, 0): "\N{MINUS SIGN}7", (2, 0): "0"}
    before, after = (axes.images[0] for axes in figure.axes)
    assert before.get_clim() == after.get_clim()
    red, green, blue, _ = before.to_rgba(np.array([[4, -7, 0]]))[0].T
    assert red[0] > blue[0]  # positive is red
    assert blue[1] > red[1]
    assert min(red[2], green[2], blue[2]) > 0.95


def test_signed_maps_have_one_scale_with_white_zero(generator):
    photo = generator.uniform(size=(30, 40))
    weak = generator.normal(size=(30, 40))
    figure = decision_plots.show_signed_maps(photo, {"weak": weak, "strong": 10 * weak})
    assert [axes.get_title() for axes in figure.axes] == ["photograph", "weak", "strong"]
    picture, *maps = drawn(figure)
    np.testing.assert_allclose(picture, photo, atol=0.5 / 23 + 1e-9)
    np.testing.assert_array_equal(maps[0], weak)
    weak_image, strong_image = (axes.images[0] for axes in figure.axes[1:])
    assert weak_image.get_clim() == strong_image.get_clim()
    assert strong_image.get_clim()[1] == pytest.approx(np.percentile(np.abs(10 * weak), 99))
    assert min(strong_image.to_rgba(np.zeros((1, 1)))[0, 0]) > 0.95
    extents = [axes.get_window_extent() for axes in figure.axes]
    assert {(round(box.width, 6), round(box.height, 6)) for box in extents} == {(40, 30)}


def test_signed_maps_fill_rows():
    photo = np.zeros((10, 10))
    maps = {str(number): np.eye(10) for number in range(3)}
    figure = decision_plots.show_signed_maps(photo, maps, columns=2)
    corners = [np.asarray(axes.get_position().p0).tolist() for axes in figure.axes]
    assert len({round(x, 6) for x, _ in corners}) == 2
    assert len({round(y, 6) for _, y in corners}) == 2


def test_every_seed_is_a_point_and_the_line_goes_through_the_means():
    dead = {"ReLU": {0.1: [60, 80], 0.01: [0, 10]}, "leaky": {0.1: [0, 0], 0.01: [0, 0]}}
    figure = decision_plots.show_rate_effects({"dead, %": dead, "right, %": dead})
    assert [axes.get_ylabel() for axes in figure.axes] == ["dead, %", "right, %"]
    mean, low, high, *_ = lines(figure.axes[0])
    assert mean == ([0.01, 0.1], [5, 70])
    assert low == ([0.01, 0.01], [0, 10])
    assert high == ([0.1, 0.1], [60, 80])
    assert figure.axes[0].get_xscale() == "log"
    assert legend_texts(figure) == ["ReLU", "leaky"]
