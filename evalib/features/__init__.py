"""What kernels and channels look for, and how evenly a kernel visits its input."""

from evalib import offer

_NAMES = {
    "backbone": "IMAGENET EDGES IMAGENET_ADDRESS vgg16_backbone vgg16_classifier prepare_for_vgg16",
    "maximization": "DEFAULT_SIZE BELOW_ZERO maximize_activation channel_gradient default_movement "
    "mean_values values_before_activation",
    "overlap": "kernel_overlap checkerboard_energy",
    "parameterization": "ImageParameters FourierImages PixelImages",
    "patches": "TILES cut_patches strongest_patch",
}
__getattr__, __dir__ = offer(__name__, _NAMES)
