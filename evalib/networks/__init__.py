"""Layers, activation functions, the course's networks, and the graph of any model."""

from evalib import offer

__getattr__, __dir__ = offer(
    __name__,
    {
        "activations": "LEAK PRELU_START FAMILY Activation activation_layer kernel_initializer "
        "small_network steps_to_accuracy",
        "applications": "application_names application_graph load_or_build",
        "config": "NetworkConfig build_network",
        "costs": "LayerCost layer_costs macs",
        "course": "EXPAND_TO_512 baseline_network s3_network session2_network "
        "squeeze_expand_network bsconv_network",
        "folding": "fold_normalization shift_average",
        "gradients": "input_gradient weight_gradients",
        "graph": "Call run_through_graph find_call has_graph tensors",
        "layers": "conv_block transition_block RandomAffine SReLU SubPixel ICNR",
    },
)
