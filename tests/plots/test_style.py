"""What the figures say, read back from their parts."""

import statistics

import matplotlib.pyplot as plt
import numpy as np
import pytest

from evalib.plots import style as plots


def pictures(figure: plt.Figure) -> list[np.ndarray]:
    """The arrays of all drawn images, in the order of the axes."""
    return [np.asarray(image.get_array()) for axes in figure.axes for image in axes.images]


def test_a_grid_draws_every_image_once_with_its_title():
    images = np.random.default_rng(0).integers(0, 256, (7, 5, 5, 1), dtype=np.uint8)
    figure = plots.show_images(images, [str(i) for i in range(7)], columns=3)
    drawn = pictures(figure)
    assert len(drawn) == 7
    assert all((a == b[..., 0]).all() for a, b in zip(drawn, images, strict=True))
    assert [axes.get_title() for axes in figure.axes if axes.images] == list("0123456")
    assert {axes.images[0].get_clim() for axes in figure.axes if axes.images} == {(0, 255)}


def test_the_seed_figure_states_mean_and_deviation():
    accuracies = [0.9960, 0.9964, 0.9971]
    figure = plots.show_seed_scores(accuracies, [0, 1, 2])
    mean = statistics.mean(accuracies) * 100
    deviation = statistics.stdev(accuracies) * 100
    texts = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert f"mean {mean:.2f} ± {deviation:.2f} %" in texts
    assert "demanded 99.4 %" in texts


def test_the_confusion_matrix_counts():
    labels = np.array([3, 3, 3, 9, 4])
    predictions = np.array([3, 5, 5, 4, 4])
    (axes,) = plots.show_confusion_matrix(labels, predictions).axes
    counts = {
        (round(text.get_position()[1]), round(text.get_position()[0])): text.get_text()
        for text in axes.texts
    }
    assert counts == {(3, 3): "1", (3, 5): "2", (9, 4): "1", (4, 4): "1"}
    # Right answers are written but not colored.
    assert np.asarray(axes.images[0].get_array()).sum() == 3


def test_mistakes_are_drawn_surest_first_and_only_they():
    images = np.arange(4 * 4, dtype=np.uint8).reshape(4, 2, 2)
    probabilities = np.full((4, 10), 0.01)
    for i, (answer, confidence) in enumerate([(1, 0.6), (2, 0.9), (3, 0.8), (4, 0.95)]):
        probabilities[i, answer] = confidence
    figure = plots.show_mistakes(images, np.array([7, 2, 7, 7]), probabilities)
    titles = [axes.get_title() for axes in figure.axes if axes.images]
    assert titles == ["7, said 4\n95 % sure", "7, said 3\n80 % sure", "7, said 1\n60 % sure"]
    with pytest.raises(ValueError, match="found none"):
        plots.show_mistakes(images, np.array([1, 2, 3, 4]), probabilities)


def test_kernels_share_one_scale_around_zero():
    groups = {"before": np.ones((3, 3, 1, 5)), "after": np.full((3, 3, 1, 5), -4.0)}
    figure = plots.show_kernels(groups, columns=4)
    limits = {axes.images[0].get_clim() for axes in figure.axes if axes.images}
    assert limits == {(-4.0, 4.0)}
    assert len(pictures(figure)) == 10


def test_feature_maps_draw_no_more_than_asked():
    maps = {"a": np.random.default_rng(0).random((4, 4, 20)), "b": np.zeros((2, 2, 3))}
    figure = plots.show_feature_maps(np.zeros((8, 8)), maps, most=6)
    assert len(pictures(figure)) == 1 + 6 + 3
    labels = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert labels == ["a: 20 maps of 4x4", "b: 3 maps of 2x2"]


def test_the_history_is_drawn_as_it_is():
    figure = plots.show_history({"loss": [1.0, 0.1], "accuracy": [0.5, 0.99]})
    loss, errors = (np.asarray(axes.lines[0].get_ydata(), float) for axes in figure.axes)
    np.testing.assert_allclose(loss, [1.0, 0.1])
    np.testing.assert_allclose(errors, [50, 1])
