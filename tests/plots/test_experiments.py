"""What the figures on experiments and mistakes say, read back from their parts."""

import keras
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import StepPatch

from evalib.plots import experiments as experiment_plots
from evalib.training.diagnostics import Diagnosis, TrainingRun


def line(axes: plt.Axes, label: str) -> tuple[list[float], list[float]]:
    (found,) = [one for one in axes.lines if one.get_label() == label]
    return np.asarray(found.get_xdata()).tolist(), np.asarray(found.get_ydata()).tolist()


def case(losses: list[float], accuracy: float) -> TrainingRun:
    return TrainingRun(keras.Sequential(), np.array(losses), (0.0, 0.0), (0.0, accuracy))


def test_the_learning_curve_ends_with_the_finished_network():
    verdict = Diagnosis(parameters=5, seen=0.998, unseen=0.99, images=10_000)
    history = {"loss": [1.0, 0.1, 0.05], "accuracy": [0.7, 0.96, 0.98]}
    figure = experiment_plots.show_learning_curve(history, verdict)
    figure.canvas.draw()
    left, right = figure.axes
    assert np.asarray(left.lines[0].get_ydata()).tolist() == [1.0, 0.1, 0.05]
    x, y = line(right, "moved images, learning")
    assert x == [1, 2, 3]
    np.testing.assert_allclose(y, [30, 4, 2])
    np.testing.assert_allclose(line(right, "training images, finished")[1], [0.2])
    (bars,) = right.containers
    assert bars.get_label() == "unseen images, finished"
    mark, _, (bar,) = bars
    np.testing.assert_allclose(np.ravel(mark.get_ydata()).astype(float), [1.0])
    (segment,) = bar.get_segments()
    # Two standard errors of 100 wrong in 10,000, in percent: 2 * sqrt(0.01 * 0.99) there.
    np.testing.assert_allclose(segment[:, 1], [1 - 2 * 0.0995, 1 + 2 * 0.0995], atol=1e-3)
    np.testing.assert_allclose(line(right, "demanded: 0.6 %")[1], [0.6, 0.6])
    assert right.get_yscale() == "log"


def test_a_learning_curve_bears_one_epoch_no_error_and_no_number():
    verdict = Diagnosis(parameters=5, seen=1.0, unseen=1.0, images=1_000)
    figure = experiment_plots.show_learning_curve({"loss": [np.nan], "accuracy": [1.0]}, verdict)
    figure.canvas.draw()
    # Half an image of 1,000 stands for none.
    right = figure.axes[1]
    assert line(right, "training images, finished")[1] == pytest.approx([0.05])
    assert line(right, "moved images, learning")[1] == pytest.approx([0.05])


def test_cases_show_the_mistake_the_repair_and_the_control():
    ill, healed, control = case([4, 2, 2, 2], 0.5), case([3, 1, 1, 1], 0.96), case([2] * 4, 0.95)
    figure = experiment_plots.show_cases(
        {"one": (ill, healed), "two": (healed, ill), "three": (ill, ill)},
        control,
        columns=2,
        mean_of=2,
    )
    figure.canvas.draw()
    one, two, three, empty = figure.axes
    assert [axes.get_title() for axes in (one, two, three)] == ["one", "two", "three"]
    assert not empty.axison
    # Steps 1 and 2 have their middle at 1.5, and their mean.
    assert line(one, "with the mistake") == ([1.5, 3.5], [3.0, 2.0])
    assert line(one, "after the repair") == ([1.5, 3.5], [2.0, 1.0])
    assert line(two, "with the mistake") == ([1.5, 3.5], [2.0, 1.0])
    assert line(three, "control")[1] == [2.0, 2.0]
    assert line(one, "guessing")[1] == pytest.approx([2.302585, 2.302585])
    assert [text.get_text() for text in one.texts] == ["50.0 %", "96.0 %"]
    low, high = one.get_ylim()
    assert low <= 1
    assert high >= 3


def test_confidence_counts_the_surest_class():
    answers = np.array([[0.9, 0.1], [0.2, 0.8], [0.5, 0.5], [0.95, 0.05]])
    figure = experiment_plots.show_confidence({"a": answers, "b": answers[:1]}, bounds={"b": 0.3})
    figure.canvas.draw()
    left, right = figure.axes
    (stairs,) = left.patches
    assert isinstance(stairs, StepPatch)
    values, edges, _ = stairs.get_data()
    assert values.sum() == pytest.approx(100)
    assert values[np.searchsorted(edges, 0.8) - 1] == pytest.approx(25)
    assert not left.lines
    assert np.ravel(right.lines[0].get_xdata())[0] == 0.3
