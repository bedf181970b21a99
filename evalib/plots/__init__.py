"""Figures. Each function returns the matplotlib figure that it drew."""

from evalib import offer

__getattr__, __dir__ = offer(
    __name__,
    {
        "experiments": "show_seed_scores show_frontier",
        "kernels": "kernel_pictures show_kernels",
        "letters": "show_letter_page show_letter_channel",
        "receptive_fields": "show_fields",
        "animation": "animate",
        "primitives": "colorize show_images show_lines show_numbers show_bars write_numbers "
        "outline hide_axes scale_axes add_legend short_number",
        "style": "use_style INK SIGNED BLUE ORANGE GRAY GREEN PURPLE SKY COLORS DPI STYLE",
        "sweeps": "MOST_ROWS show_sweep save_figure",
        "training": "show_tiny_network show_paths",
    },
)
