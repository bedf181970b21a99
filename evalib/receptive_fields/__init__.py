"""What a position deep in a network sees: computed, measured, and how strongly."""

from evalib import offer

__getattr__, __dir__ = offer(
    __name__,
    {
        "arithmetic": "NOTHING Offsets AxisField hull union center ReceptiveField",
        "axis_operations": "sliding transposed resized shifted adaptive strided",
        "compute": "receptive_field receptive_field_table",
        "effective": "CENTER_SHARE effective_field effective_size GaussianFit gaussian_fit",
        "inputs": "choose_sources position_axes choose_layer",
        "measurement": "measure_receptive_field",
        "rules": "read register_layer",
        "table": "LayerRow ReceptiveFieldTable make_row format_shape",
        "tensor_fields": "AxisMap LayerCall MisalignedError single_input spatial_axes "
        "apply_windows reduce_axes without_axes sees_all merge_branches",
    },
)
