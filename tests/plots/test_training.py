"""What the figures on initial kernels and on training say, read back from their parts."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from evalib.plots import training as training_plots


def lines(axes: plt.Axes) -> list[tuple[list[float], list[float]]]:
    drawn = [(line.get_xdata(), line.get_ydata()) for line in axes.lines]
    return [(np.asarray(x).tolist(), np.asarray(y).tolist()) for x, y in drawn]


def legend(figure: plt.Figure) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def texts(figure: plt.Figure) -> list[str]:
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def pictures(figure: plt.Figure) -> list[np.ndarray]:
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_signals_are_points_and_predictions_lines():
    measured = {"tanh": {"He": (np.array([1.0, 0.5]), np.array([4.0, 2.0]))}}
    predicted = {"tanh": {"He": (np.array([1.0, 0.6]), np.array([3.0, 1.0]))}}
    figure = training_plots.show_signals(measured, predicted)
    figure.canvas.draw()
    forward, backward = figure.axes
    assert lines(forward) == [([1, 2], [1.0, 0.5]), ([1, 2], [1.0, 0.6])]
    # The gradients' prediction is relative: it begins at the last layer's measured value.
    assert lines(backward) == [([1, 2], [4.0, 2.0]), ([1, 2], [6.0, 2.0])]
    assert forward.get_yscale() == backward.get_yscale() == "log"
    assert legend(figure) == ["He"]


def test_a_spread_is_a_histogram_a_layer():
    activations = {"one": np.array([[0.0, 0.0, 0.9, -0.9], [-1.0, -1.0, 1.0, 1.0]])}
    figure = training_plots.show_spreads(activations)
    figure.canvas.draw()
    (picture,) = pictures(figure)
    assert picture.shape[1] == 2
    assert picture[30, 0] == 1  # the bin around zero
    assert np.count_nonzero(picture[:, 0]) == 3
    assert picture[0, 1] == picture[-1, 1] == 1
    assert picture[1:-1, 1].sum() == 0


def test_a_loss_that_is_no_number_gets_a_cross():
    steps = np.array([10, 20])
    curves = {"good": (steps, np.array([2.0, 1.0])), "lost": (steps, np.array([np.nan, np.nan]))}
    figure = training_plots.show_losses({"relu": curves}, chance=2.3)
    figure.canvas.draw()
    (axes,) = figure.axes
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [np.ravel(line.get_xdata())[0] for line in crosses] == [10]
    assert legend(figure) == ["guessing", "good", "lost"]
    assert texts(figure) == ["   no number"]


def test_weights_share_their_bins():
    fresh, trained = np.array([0.0, 0.1, -0.1]), np.array([0.0, 0.5, -0.2])
    figure = training_plots.show_weights({"first": {"fresh": fresh, "trained": trained}})
    figure.canvas.draw()
    (axes,) = figure.axes
    assert axes.get_title() == "first"
    edges = [patch.get_x() for patch in axes.patches if hasattr(patch, "get_x")]
    assert min(edges) == pytest.approx(-0.5)
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["fresh", "trained"]


def test_a_film_has_a_row_a_moment_and_one_scale():
    moments = [np.random.default_rng(seed).normal(size=(3, 3, 2, 4)) for seed in range(2)]
    figure = training_plots.show_kernel_film(moments, ["start", "end"])
    figure.canvas.draw()
    drawn = pictures(figure)
    assert len(drawn) == 2 * 4
    np.testing.assert_array_equal(drawn[5], moments[1][:, :, 0, 1])
    limit = max(np.abs(kernels[:, :, 0]).max() for kernels in moments)
    assert {axes.images[0].get_clim() for axes in figure.axes} == {(-limit, limit)}
    assert [axes.get_ylabel() for axes in figure.axes][::4] == ["start", "end"]


def test_the_tiny_network_shows_its_numbers():
    matrix = np.array([[0.11, -0.22], [0.33, 0.44]])
    values = {
        "x": np.array([0.5, 0.6]), "w1": matrix, "b1": np.array([0.1, 0.2]),
        "z1": np.array([-0.7, 0.8]), "a1": np.array([0.0, 0.8]), "w2": matrix + 1,
        "b2": np.zeros(2), "z2": np.array([0.9, 1.0]), "p": np.array([0.48, 0.52]),
        "loss": np.array(0.654),
    }  # fmt: skip
    gradients = {"w1": -matrix, "z1": np.array([0.0, 0.015]), "w2": matrix, "z2": np.ones(2)}
    figure = training_plots.show_tiny_network(values, gradients, ["a", "b", "zero", "one"])
    figure.canvas.draw()
    written = texts(figure)
    for expected in (
        "0.50", "−0.22", "+0.220", "1.44", "+0.440", "bias 0.20", "+0.015", "−0.70\n→ 0.00",
        "1.00\n→ 0.52", "loss\n0.654", "a", "b", "zero", "one",
    ):  # fmt: skip
        assert expected in written


def test_paths_are_drawn_from_start_to_end():
    path = np.array([[0.0, 0.0], [0.5, 0.2], [1.0, 0.4]])
    figure = training_plots.show_paths(
        lambda x, y: x**2 + y**2,
        {"left": {"SGD": path, "Adam": 2 * path}, "right": {"SGD": path, "Adam": path}},
        (-1, 2, -1, 1),
    )
    figure.canvas.draw()
    left = figure.axes[0]
    drawn = lines(left)
    assert drawn[0] == ([0.0, 0.5, 1.0], [0.0, 0.2, 0.4])
    assert drawn[1] == ([0.0], [0.0])
    assert drawn[2] == ([1.0], [0.4])
    assert left.get_title() == "left"
    assert legend(figure) == ["SGD", "Adam"]


def test_the_best_rate_is_ringed():
    figure = training_plots.show_rates({"SGD": {0.1: 0.5, 0.3: 0.2, 1.0: float("nan")}})
    figure.canvas.draw()
    (axes,) = figure.axes
    curve, ring = lines(axes)
    assert curve[0] == [0.1, 0.3, 1.0]
    assert ring == ([0.3], [0.2])


def test_optimizers_show_the_mean_and_each_seed():
    losses = np.array([[2.0, 0.4], [2.2, 0.2]])
    figure = training_plots.show_optimizers({"SGD": ([0, 10], losses)})
    figure.canvas.draw()
    left, right = figure.axes
    np.testing.assert_allclose(lines(left)[0][1], [2.1, 0.3])
    assert lines(right)[0][0] == [0.4, 0.2]
    assert [tick.get_text() for tick in right.get_yticklabels()] == ["SGD"]
    assert [tick.get_text() for tick in left.get_yticklabels() if tick.get_text()] == [
        "0.3", "0.5", "1", "2",
    ]  # fmt: skip


def test_the_gap_lies_between_both_losses():
    figure = training_plots.show_gaps(
        {"plain": ([0, 10], np.array([1.0, 0.1]), np.array([1.0, 0.6]))}
    )
    figure.canvas.draw()
    (axes,) = figure.axes
    assert lines(axes) == [([0, 10], [1.0, 0.1]), ([0, 10], [1.0, 0.6])]
    corners = axes.collections[0].get_paths()[0].vertices
    assert {0.1, 0.6} <= {round(float(y), 6) for _, y in np.asarray(corners)}


def test_steps_are_marked():
    figure = training_plots.show_steps({"loss": ([1, 10], [2.0, 1.0])}, marks=[1, 5])
    figure.canvas.draw()
    (axes,) = figure.axes
    assert [x[0] for x, _ in lines(axes)[:2]] == [1, 5]
    assert lines(axes)[2] == ([1, 10], [2.0, 1.0])
    assert axes.get_xscale() == "log"
