"""What the course's notebooks share: `import evalib as ev`, then `ev.<TAB>`.

A name is loaded when it is first used. Import evalib before Keras: it keeps TensorFlow's start-up
messages out of a notebook's outputs, unless their level is already set.
"""

import importlib
import os
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

__version__ = "0.2.0"


def check_version(page: str) -> None:
    """Say what to do where a page written for another version, such as "0.2", meets this one."""
    if page.split(".")[:2] != __version__.split(".")[:2]:
        print(
            f"This page was written for evalib {page}, and evalib {__version__} is installed: "
            "names may differ.\nOpen the page anew from the course's repository."
        )


def offer(
    package: str, names: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Make a package's `__getattr__` and `__dir__` (PEP 562): names are loaded when first used.

    `names` has the names that each module offers, separated by spaces; under "" are modules.
    """
    module_of = {name: module for module, line in names.items() for name in line.split()}

    def load(name: str) -> Any:
        if name not in module_of:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        module = importlib.import_module(f"{package}.{module_of[name] or name}")
        return getattr(module, name) if module_of[name] else module

    return load, lambda: sorted(module_of)


__getattr__, _offered = offer(
    __name__,
    {
        "data.mnist": "load_mnist split_validation prepare_images",
        "data.photos": "sample_photo",
        "filters": "SOBEL_X SOBEL_Y LAPLACIAN apply_kernel sobel_gradients gradient_magnitude "
        "laplacian fixed_convolution",
        "networks.layers": "conv_block transition_block SReLU RandomAffine",
        "networks.course": "baseline_network s3_network session2_network squeeze_expand_network",
        "receptive_fields.compute": "receptive_field receptive_field_table",
        "receptive_fields.measurement": "measure_receptive_field",
        "receptive_fields.rules": "register_layer",
        "receptive_fields.effective": "effective_field",
        "features.overlap": "kernel_overlap",
        "features.maximization": "maximize_activation",
        "training.recipe": "Recipe train score",
        "results": "read_results results_folder",
        "": "plots features training receptive_fields networks data",
    },
)


def __dir__() -> list[str]:
    return sorted([*_offered(), "check_version"])
