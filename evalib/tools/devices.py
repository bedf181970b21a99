"""Which device Keras computes on, asked in a process of its own: this one takes no GPU memory."""

import contextlib
import functools
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

NO_GPU = {"CUDA_VISIBLE_DEVICES": "-1", "HIP_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
_ANSWER = "Keras computes on "
_DEVICE_QUERY = f"""
import importlib, json, keras
backend, gpus = keras.backend.backend(), []
module = importlib.import_module(backend)
if backend == "tensorflow":
    found = module.config.list_physical_devices("GPU")
    details = [module.config.experimental.get_device_details(gpu) for gpu in found]
    gpus = [detail.get("device_name", "GPU") for detail in details]
elif backend == "jax":
    gpus = [g.device_kind for g in module.devices() if g.platform in ("gpu", "cuda", "rocm")]
elif backend == "torch":
    gpus = [module.cuda.get_device_name(n) for n in range(module.cuda.device_count())]
    gpus = gpus or ["Apple GPU"] * module.backends.mps.is_available()
print("\\n{_ANSWER}" + json.dumps([backend, module.__version__, gpus]))
"""
_DRIVER_QUERY = "nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader"


class Machine(NamedTuple):
    backend: str  # Keras's
    version: str  # of that one
    gpus: tuple[str, ...]  # the names of those that it finds

    @property
    def device(self) -> str:
        name = (*self.gpus, "cpu")[0]
        return name if len(self.gpus) < 2 else f"{len(self.gpus)} × {name}"


@functools.cache
def gpu_details(names: tuple[str, ...]) -> list[str]:
    """Such as "NVIDIA H200, 143771 MiB, 570.86.15"; a name alone where no driver knows it."""
    known, command = "", _DRIVER_QUERY.split()
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        known = subprocess.check_output(command, text=True, timeout=30) if names else ""
    details = {line.rsplit(",", 2)[0]: line for line in known.splitlines()}
    return [details.get(name, name) for name in names]


def detect_machine(environment: Mapping[str, str] | None = None) -> Machine:
    """Ask Keras, in a process with these variables; RuntimeError if it cannot be imported."""
    command = [sys.executable, "-P", "-c", _DEVICE_QUERY]
    answer = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line for line in answer.stdout.splitlines() if line.startswith(_ANSWER)]
    if not lines:
        reason = ["its process ended", *answer.stderr.strip().splitlines()][-1]
        raise RuntimeError(f"Keras could not be asked for its devices: {reason}")
    backend, version, gpus = json.loads(lines[-1].removeprefix(_ANSWER))
    return Machine(backend, version, tuple(gpus))
