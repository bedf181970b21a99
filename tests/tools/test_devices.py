"""What Keras sees and what the driver says of it, answered by stand-ins for both."""

import sys
from pathlib import Path

import pytest

from evalib.tools.devices import Machine, detect_machine
from evalib.tools.run import run_notebooks
from tests.tools.notebook_calls import read_report, write_notebook

KERAS = "class backend:\n    backend = staticmethod(lambda: {backend!r})\n"

BACKENDS = {
    "torch": """
class cuda:
    device_count = staticmethod(lambda: {count})
    get_device_name = staticmethod(lambda n: {name!r})
class backends:
    class mps:
        is_available = staticmethod(lambda: False)
""",
    "jax": """
class Device:
    platform, device_kind = "gpu", {name!r}
class Processor:
    platform = "cpu"
devices = lambda: [Device()] * {count} or [Processor()]
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
    wanted = "--query-gpu=name,memory.total,driver_version --format=csv,noheader"
    answer = "\n".join(f"echo {line!r}" for line in lines)
    path.write_text(f"#!/bin/sh\n[ \"$*\" = '{wanted}' ] || exit 6\n{answer}\nexit {status}\n")
    path.chmod(0o755)


def write_keras(folder: Path, backend: str, count: int, name: str = "NVIDIA H200") -> None:
    (folder / "keras.py").write_text(KERAS.format(backend=backend))
    source = BACKENDS[backend].format(count=count, name=name)
    chatter = "import atexit\nprint('some chatter')\natexit.register(print, 'and more')\n"
    (folder / f"{backend}.py").write_text(f"{source}\n__version__ = '9.9'\n{chatter}")


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_what_keras_sees_counts(tmp_path: Path, driver: Path, backend: str) -> None:
    write_driver(driver, "NVIDIA T4, 15360 MiB, 570.8", "NVIDIA H200, 143771 MiB, 570.8")
    write_keras(tmp_path, backend, 0)
    assert detect_machine() == Machine(backend, "9.9", ())
    assert (detect_machine().device, detect_machine().gpu_details) == ("cpu", [])
    write_keras(tmp_path, backend, 1)
    assert detect_machine().device == "NVIDIA H200"
    assert detect_machine().gpu_details == ["NVIDIA H200, 143771 MiB, 570.8"]
    write_keras(tmp_path, backend, 3, "AMD MI300")
    assert detect_machine().device == "3 × AMD MI300"
    assert detect_machine().gpu_details == ["AMD MI300"] * 3


def test_the_name_is_enough_where_no_driver_answers(driver: Path) -> None:
    assert Machine("jax", "1", ("NVIDIA H200",)).gpu_details == ["NVIDIA H200"]  # no nvidia-smi
    write_driver(driver, "NVIDIA-SMI has failed: no driver", status=9)
    assert Machine("jax", "1", ("NVIDIA H200",)).gpu_details == ["NVIDIA H200"]


def test_a_keras_that_cannot_be_imported(tmp_path: Path, driver: Path) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('no backend here')\n")
    with pytest.raises(RuntimeError, match=r"could not be asked.*no backend here"):
        detect_machine()


def test_the_report_names_the_gpus(tmp_path: Path, driver: Path) -> None:
    write_keras(tmp_path, "torch", 2)
    write_driver(driver, *["NVIDIA H200, 143771 MiB, 570.8"] * 2)
    write_notebook(tmp_path / "notebooks" / "a.ipynb", "1")
    out = tmp_path / "out"
    (run,) = run_notebooks(device="gpu", notebook_folder=tmp_path / "notebooks", output_folder=out)
    assert (run.passed, run.device) == (True, "2 × NVIDIA H200")
    report = read_report(out)
    assert report["gpus"] == ["NVIDIA H200, 143771 MiB, 570.8"] * 2
    assert (report["device"], report["versions"]["torch"]) == ("2 × NVIDIA H200", "9.9")
