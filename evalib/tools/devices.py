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
        gpus.append([details.get("device_name", gpu.name), None])
elif backend == "jax":
    for gpu in module.devices():
        if gpu.platform in ("gpu", "cuda", "rocm"):
            gpus.append([gpu.device_kind, (gpu.memory_stats() or {}).get("bytes_limit")])
elif backend == "torch":
    for n in range(module.cuda.device_count()):
        memory = module.cuda.get_device_properties(n).total_memory
        gpus.append([module.cuda.get_device_name(n), memory])
    gpus = gpus or [["Apple GPU", None]] * module.backends.mps.is_available()
print(json.dumps({"backend": backend, "version": module.__version__, "gpus": gpus}))
"""

_DRIVER_QUERY = ("nvidia-smi", "--query-gpu=name,memory.total,driver_version")
_DRIVER_FORMAT = "--format=csv,noheader,nounits"
_DRIVER_PATIENCE = 30  # seconds; it can take long where no process keeps the driver awake


@dataclasses.dataclass(frozen=True)
class Gpu:
    """A GPU that Keras sees.

    Attributes:
        name: As Keras's backend calls it.
        memory_bytes: What the driver says it has; where there is none to ask, what the backend
            says, which with JAX is the part that JAX may take. None if neither knows.
        driver: The driver's version; None if it is not NVIDIA's.
    """

    name: str
    memory_bytes: int | None = None
    driver: str | None = None


@dataclasses.dataclass(frozen=True)
class Machine:
    """What Keras finds to compute with: its backend, that one's version, the GPUs."""

    backend: str
    version: str
    gpus: tuple[Gpu, ...]

    @property
    def device(self) -> str:
        """The first GPU's name, with their number if there are more, or "cpu"."""
        if not self.gpus:
            return "cpu"
        name = self.gpus[0].name
        return name if len(self.gpus) == 1 else f"{len(self.gpus)} × {name}"


def detect_machine() -> Machine:
    """Ask Keras, in a process of its own and in the present environment, what it computes on.

    Returns:
        The backend, its version and the GPUs.

    Raises:
        RuntimeError: Keras or its backend cannot be imported.
    """
    command = [sys.executable, "-c", _DEVICE_QUERY]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        reason = (answer.stderr.strip().splitlines() or [f"exit status {answer.returncode}"])[-1]
        raise RuntimeError(f"Keras could not be asked for its devices: {reason}")
    found = json.loads(answer.stdout.splitlines()[-1])
    # The driver lists all there are, in its own order: Keras may see fewer, in another.
    known = {gpu.name: gpu for gpu in _ask_driver()} if found["gpus"] else {}
    gpus = [known.get(name, Gpu(name, memory)) for name, memory in found["gpus"]]
    return Machine(found["backend"], found["version"], tuple(gpus))


def _ask_driver() -> list[Gpu]:
    """Ask NVIDIA's driver for the GPUs there are; none where it is not installed."""
    command = [*_DRIVER_QUERY, _DRIVER_FORMAT]
    try:
        answer = subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=_DRIVER_PATIENCE
        )
    except (OSError, subprocess.SubprocessError):
        return []
    gpus = []
    for line in answer.stdout.splitlines():
        fields = [field.strip() for field in line.rsplit(",", 2)]
        # A GPU that is cut into parts says [N/A].
        if len(fields) == 3 and fields[1].isdecimal():
            gpus.append(Gpu(fields[0], int(fields[1]) * 2**20, fields[2]))
    return gpus


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
