"""Figures. Each function returns the matplotlib figure that it drew."""

from evalib import offer

_NAMES = {
    "experiments": "show_seed_scores show_frontier show_paths",
    "kernels": "kernel_pictures show_kernels",
    "primitives": "colorize show_images show_lines show_numbers show_bars write_numbers "
    "outline hide_axes scale_axes add_legend short_number animate",
    "style": "use_style INK SIGNED BLUE ORANGE GRAY GREEN PURPLE SKY COLORS DPI STYLE",
    "sweeps": "MOST_ROWS show_sweep save_figure",
}
__getattr__, __dir__ = offer(__name__, _NAMES)
