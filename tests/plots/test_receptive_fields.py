"""Effective fields are drawn beside their size."""

import matplotlib.pyplot as plt
import numpy as np

from evalib.plots import show_fields


def test_fields_are_drawn_over_whole_images_and_alone():
    field = np.zeros((28, 28))
    field[10:14, 10:14] = 1
    fields = {"one": field, "two": field.T, "three": field}
    for figure in (show_fields(fields, columns=2), show_fields(fields, (4, 4, 20, 20))):
        figure.canvas.draw()
        plt.close(figure)
