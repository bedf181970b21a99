"""Colors and matplotlib settings that all figures share."""

from typing import Any

import matplotlib.pyplot as plt
from cycler import cycler

INK = "gray_r"  # for MNIST, whose 255 is ink: high values are drawn dark
SIGNED = "RdBu_r"  # blue below zero, white at zero, red above
# Any two of these differ for readers with each kind of color blindness (CIEDE2000 above 11).
COLORS = ("#2b6cb0", "#dd6b20", "#4a5568", "#009e73", "#cc79a7", "#7cc4f0")
BLUE, ORANGE, GRAY, GREEN, PURPLE, SKY = COLORS
DPI = 90  # A notebook shows 96 pixels as an inch: 10 points at 90 dots are 9.4 as seen.
STYLE: dict[str, Any] = {
    "figure.dpi": DPI,
    "figure.constrained_layout.use": True,
    "font.size": 10,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLORS),
    "grid.alpha": 0.25,
    "image.cmap": "gray",
    "legend.frameon": False,
    "lines.markersize": 4,
}


def use_style() -> None:
    """Set matplotlib's defaults for a whole notebook, so that its cells can plot as they like."""
    plt.rcParams.update(STYLE)
