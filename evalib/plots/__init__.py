"""Figures. Each function returns the matplotlib figure that it drew."""

from evalib import offer

__getattr__, __dir__ = offer(
    __name__,
    {
        "best_networks": "DEMANDED show_frontier",
        "channels": "CHANNELS CHANNEL_COLORS show_channel_sums show_kernel_outputs "
        "show_weighted_sums show_costs show_layer_costs",
        "experiments": "LOWEST GUESSING show_learning_curve show_cases show_confidence "
        "show_likeness",
        "features": "show_features show_feature_rows",
        "filters": "show_photo_channels show_letter_channel show_letter_variants show_pictures "
        "show_recolored show_filters show_gradient show_borders show_drift "
        "show_stack_costs show_rims show_kernel_fits show_chains",
        "kernels": "kernel_pictures show_kernel_bands show_named_kernels show_measures "
        "show_kernel_plane",
        "overlap": "show_coverage show_closeups show_generated show_gradients show_enlarged "
        "show_pattern_history",
        "patches": "show_windows show_scores_by_size show_tour",
        "receptive_fields": "show_fields",
        "animation": "animate",
        "primitives": "colorize show_images show_lines show_numbers show_bars write_numbers "
        "outline hide_axes scale_axes add_legend short_number",
        "style": "use_style INK SIGNED BLUE ORANGE GRAY GREEN PURPLE SKY COLORS DPI STYLE "
        "show_history show_curve show_seed_scores show_confusion_matrix show_mistakes "
        "show_kernels show_feature_maps",
        "sweeps": "MOST_ROWS show_sweep save_figure",
        "training": "show_signals show_spreads show_losses show_weights show_kernel_film "
        "show_tiny_network show_paths show_rates show_optimizers show_gaps show_steps",
    },
)
