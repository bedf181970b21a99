"""What Keras sees and what the driver says of it, told by stand-ins for both."""

import sys
from pathlib import Path

import pytest

from evalib.tools.devices import Gpu, Machine, detect_machine
from evalib.tools.run import run_notebooks

KERAS = "class backend:\n    backend = staticmethod(lambda: {backend!r})\n"

# Two GPUs on each backend. The second H200's memory is what its backend says.
BACKENDS = {
    "torch": """
class cuda:
    device_count = staticmethod(lambda: {count})
    get_device_name = staticmethod(lambda n: {name!r})
    def get_device_properties(n):
        class properties:
            total_memory = 1000 + n
        return properties
class backends:
    class mps:
        is_available = staticmethod(lambda: False)
""",
    "jax": """
class Device:
    platform, device_kind = "gpu", {name!r}
    def __init__(self, n):
        self.memory_stats = lambda: dict(bytes_limit=1000 + n) if n != 2 else None
class Processor:
    platform = "cpu"
devices = lambda: [Device(n) for n in range({count})] or [Processor()]
""",
    "tensorflow": """
class Physical:
    name = "/physical_device:GPU:0"
class config:
    list_physical_devices = staticmethod(lambda kind: [Physical] * {count} * (kind == "GPU"))
    class experimental:
        get_device_details = staticmethod(lambda gpu: dict(device_name={name!r}))
""",
}


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of nvidia-smi, the only program there is."""
    if sys.platform == "win32":
        pytest.skip("the stand-in is a shell script")
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path / "bin" / "nvidia-smi"


def write_driver(path: Path, *lines: str, status: int = 0) -> None:
    """A driver that answers only what it can be asked."""
    wanted = "--query-gpu=name,memory.total,driver_version --format=csv,noheader,nounits"
    answer = "\n".join(f"echo {line!r}" for line in lines)
    path.write_text(f"#!/bin/sh\n[ \"$*\" = '{wanted}' ] || exit 6\n{answer}\nexit {status}\n")
    path.chmod(0o755)


def write_keras(folder: Path, backend: str, count: int, name: str = "NVIDIA H200") -> None:
    (folder / "keras.py").write_text(KERAS.format(backend=backend))
    source = BACKENDS[backend].format(count=count, name=name)
    (folder / f"{backend}.py").write_text(
        f"{source}\n__version__ = '9.9'\nprint('some chatter of a library')\n"
    )


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_without_a_gpu(tmp_path: Path, driver: Path, backend: str) -> None:
    write_keras(tmp_path, backend, 0)
    write_driver(driver, "NVIDIA H200, 143771, 570.86.15")  # which Keras does not see
    assert detect_machine() == Machine(backend, "9.9", ())
    assert detect_machine().device == "cpu"


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_memory_and_driver_come_from_the_driver(tmp_path: Path, driver: Path, backend: str) -> None:
    write_keras(tmp_path, backend, 1)
    write_driver(driver, "NVIDIA T4, 15360, 570.86.15", "NVIDIA H200, 143771, 570.86.15")
    found = detect_machine()
    # 143,771 MiB
    assert found.gpus == (Gpu("NVIDIA H200", 150_754_820_096, "570.86.15"),)
    assert found.device == "NVIDIA H200"


@pytest.mark.parametrize(
    ("backend", "memory"), [("torch", (1000, 1001)), ("jax", (1000, 1001)), ("tensorflow", (None,))]
)
def test_memory_comes_from_the_backend_where_no_driver_answers(
    tmp_path: Path, driver: Path, backend: str, memory: tuple[int | None, ...]
) -> None:
    write_keras(tmp_path, backend, len(memory))
    expected = tuple(Gpu("NVIDIA H200", value, None) for value in memory)
    assert detect_machine().gpus == expected  # there is no nvidia-smi
    write_driver(driver, "NVIDIA H200, [N/A], 570.86.15")
    assert detect_machine().gpus == expected
    write_driver(driver, "NVIDIA-SMI has failed: no driver", status=9)
    assert detect_machine().gpus == expected
    write_driver(driver, "NVIDIA T4, 15360, 570.86.15")  # another one
    assert detect_machine().gpus == expected


def test_several_gpus(tmp_path: Path, driver: Path) -> None:
    write_keras(tmp_path, "jax", 3, "AMD MI300")
    found = detect_machine()
    assert found.device == "3 × AMD MI300"
    assert [gpu.memory_bytes for gpu in found.gpus] == [1000, 1001, None]


def test_a_gpu_that_no_variable_hides(tmp_path: Path, driver: Path) -> None:
    from tests.tools.notebook_calls import write_notebook

    write_keras(tmp_path, "torch", 1, "Apple GPU")
    write_notebook(tmp_path / "notebooks" / "a.ipynb", "1")
    folder, out = tmp_path / "notebooks", tmp_path / "out"
    with pytest.raises(RuntimeError, match="expected no GPU, but Keras on torch uses Apple GPU"):
        run_notebooks(device="cpu", notebook_folder=folder, output_folder=out)
    assert not out.exists()


def test_a_keras_that_cannot_be_imported(tmp_path: Path, driver: Path) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('no backend here')\n")
    with pytest.raises(RuntimeError, match=r"could not be asked.*no backend here"):
        detect_machine()


def test_the_report_names_the_gpus(tmp_path: Path, driver: Path) -> None:
    from tests.tools.notebook_calls import read_report, write_notebook

    write_keras(tmp_path, "torch", 2)
    write_driver(driver, *["NVIDIA H200, 143771, 570.86.15"] * 2)
    write_notebook(tmp_path / "notebooks" / "a.ipynb", "1")
    out = tmp_path / "out"
    (run,) = run_notebooks(device="gpu", notebook_folder=tmp_path / "notebooks", output_folder=out)
    assert (run.passed, run.device) == (True, "2 × NVIDIA H200")
    report = read_report(out)
    gpu = {"name": "NVIDIA H200", "memory_bytes": 143_771 * 2**20, "driver": "570.86.15"}
    assert report["gpus"] == [gpu, gpu]
    assert report["device"] == "2 × NVIDIA H200"
    assert report["versions"]["torch"] == "9.9"
    assert report["runs"][0]["seconds"] == run.seconds > 0
