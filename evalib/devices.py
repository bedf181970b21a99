"""Which device Keras computes on, asked in a process of its own.

Keras is not imported here, so that whoever asks holds no accelerator memory while the notebooks'
kernels need it.
"""

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

DEVICES = ("auto", "cpu", "gpu")

NO_GPU: dict[str, str | None] = {
    "CUDA_VISIBLE_DEVICES": "-1",
    "HIP_VISIBLE_DEVICES": "-1",
    "JAX_PLATFORMS": "cpu",
}

_DEVICE_QUERY = """
import importlib, json, keras
backend = keras.backend.backend()
module = importlib.import_module(backend)
gpus = []
if backend == "tensorflow":
    for gpu in module.config.list_physical_devices("GPU"):
        details = module.config.experimental.get_device_details(gpu)
        gpus.append(details.get("device_name", gpu.name))
elif backend == "jax":
    gpus = [d.device_kind for d in module.devices() if d.platform in ("gpu", "cuda", "rocm")]
elif backend == "torch":
    gpus = [module.cuda.get_device_name(n) for n in range(module.cuda.device_count())]
    gpus = gpus or ["Apple GPU"] * module.backends.mps.is_available()
print(json.dumps({"backend": backend, "version": module.__version__, "gpus": gpus}))
"""


@dataclasses.dataclass(frozen=True)
class Machine:
    """What Keras finds to compute with: its backend, that one's version, the names of the GPUs."""

    backend: str
    version: str
    gpus: tuple[str, ...]

    @property
    def device(self) -> str:
        """The first GPU's name, with their number if there are more, or "cpu"."""
        if not self.gpus:
            return "cpu"
        return self.gpus[0] if len(self.gpus) == 1 else f"{len(self.gpus)} × {self.gpus[0]}"


def detect_machine() -> Machine:
    """Ask Keras, in a process of its own and in the present environment, what it computes on.

    Returns:
        The backend, its version and the GPUs' names.

    Raises:
        RuntimeError: Keras or its backend cannot be imported.
    """
    command = [sys.executable, "-c", _DEVICE_QUERY]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        reason = (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
        raise RuntimeError(f"Keras could not be asked for its devices: {reason}")
    found = json.loads(answer.stdout.splitlines()[-1])
    return Machine(found["backend"], found["version"], tuple(found["gpus"]))


@contextmanager
def changed_environment(changes: Mapping[str, str | None]) -> Iterator[None]:
    """Change environment variables, which kernels inherit, and set them back."""
    before = {name: os.environ.get(name) for name in changes}
    _set_environment(changes)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
