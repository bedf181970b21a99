"""What a position deep in a network sees: computed, measured, and how strongly."""

from evalib import offer

__getattr__, __dir__ = offer(
    __name__,
    {
        "arithmetic": "ReceptiveField",
        "compute": "receptive_field receptive_field_table",
        "effective": "effective_field",
        "measurement": "measure_receptive_field",
        "rules": "register_layer",
        "table": "LayerRow ReceptiveFieldTable format_shape",
    },
)
