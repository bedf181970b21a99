"""What Keras sees and what the driver says of it, answered by stand-ins for both."""

import sys
from pathlib import Path

import pytest

from evalib.tools.devices import Machine, detect_machine, gpu_details
from evalib.tools.run import run_notebooks
from tests.tools.notebook_calls import read_report, write_notebook

BACKENDS = {
    "torch": """
class cuda:
    device_count = lambda: {count}
    get_device_name = lambda number: {name!r}
class backends:
    class mps:
        is_available = lambda: False
""",
    "jax": """
class Device:
    platform, device_kind = ("gpu" if {count} else "cpu"), {name!r}
devices = lambda: [Device] * max({count}, 1)
""",
    "tensorflow": """
class config:
    list_physical_devices = lambda kind: ["GPU:0"] * {count} * (kind == "GPU")
    class experimental:
        get_device_details = lambda gpu: dict(device_name={name!r})
""",
}

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the driver is a shell script")


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for nvidia-smi, the only program there is; it answers only what it can."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    wanted = "--query-gpu=name,memory.total,driver_version --format=csv,noheader"
    known = "NVIDIA T4, 15360 MiB, 570.8\nNVIDIA H200, 143771 MiB, 570.8"
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ \"$*\" = '{wanted}' ] && echo '{known}'\n")
    program.chmod(0o755)
    gpu_details.cache_clear()
    return program


def write_keras(folder: Path, backend: str, count: int, name: str = "NVIDIA H200") -> None:
    (folder / "keras.py").write_text(f"class backend:\n    backend = lambda: {backend!r}\n")
    source = BACKENDS[backend].format(count=count, name=name)
    chatter = "import atexit\nprint('some chatter')\natexit.register(print, 'and more')\n"
    (folder / f"{backend}.py").write_text(f"{source}\n__version__ = '9.9'\n{chatter}")


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_what_keras_sees_counts(tmp_path: Path, driver: Path, backend: str) -> None:
    write_keras(tmp_path, backend, 0)
    machine = detect_machine()
    assert machine == Machine(backend, "9.9", ())
    assert (machine.device, gpu_details(machine.gpus)) == ("cpu", [])
    write_keras(tmp_path, backend, 3, "AMD MI300")
    machine = detect_machine()
    assert machine.device == "3 × AMD MI300"
    assert gpu_details(machine.gpus) == ["AMD MI300"] * 3  # the driver does not know them


def test_a_keras_that_cannot_be_imported(tmp_path: Path, driver: Path) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('no backend here')\n")
    with pytest.raises(RuntimeError, match=r"could not be asked.*no backend here"):
        detect_machine()


def test_the_report_names_the_gpus(tmp_path: Path, driver: Path) -> None:
    write_keras(tmp_path, "torch", 1)
    write_notebook(tmp_path / "notebooks" / "a.ipynb", "1")
    (run,) = run_notebooks(device="gpu", notebooks=tmp_path / "notebooks")
    assert (run.passed, run.device) == (True, "NVIDIA H200")
    report = read_report(tmp_path / "outputs" / "executed")
    assert (report["device"], report["versions"]["torch"]) == ("NVIDIA H200", "9.9")
    assert report["gpus"] == ["NVIDIA H200, 143771 MiB, 570.8"]
    driver.unlink()
    assert gpu_details(("NVIDIA H100",)) == ["NVIDIA H100"]
