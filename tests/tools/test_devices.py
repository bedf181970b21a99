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
class config:
    list_physical_devices = staticmethod(lambda kind: ["GPU:0"] * {count} * (kind == "GPU"))
    class experimental:
        get_device_details = staticmethod(lambda gpu: dict(device_name={name!r}))
""",
}


@pytest.fixture
def driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for nvidia-smi, the only program there is; it answers only what it can."""
    if sys.platform == "win32":
        pytest.skip("the stand-in is a shell script")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    wanted = "--query-gpu=name,memory.total,driver_version --format=csv,noheader"
    known = "NVIDIA T4, 15360 MiB, 570.8\nNVIDIA H200, 143771 MiB, 570.8"
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n[ \"$*\" = '{wanted}' ] && echo '{known}'\n")
    program.chmod(0o755)
    return program


def write_keras(folder: Path, backend: str, count: int, name: str = "NVIDIA H200") -> None:
    (folder / "keras.py").write_text(KERAS.format(backend=backend))
    source = BACKENDS[backend].format(count=count, name=name)
    chatter = "import atexit\nprint('some chatter')\natexit.register(print, 'and more')\n"
    (folder / f"{backend}.py").write_text(f"{source}\n__version__ = '9.9'\n{chatter}")


@pytest.mark.parametrize("backend", list(BACKENDS))
def test_what_keras_sees_counts(tmp_path: Path, driver: Path, backend: str) -> None:
    write_keras(tmp_path, backend, 0)
    machine = detect_machine()
    assert machine == Machine(backend, "9.9", ())
    assert (machine.device, machine.gpu_details) == ("cpu", [])
    write_keras(tmp_path, backend, 3, "AMD MI300")
    machine = detect_machine()
    assert machine.device == "3 × AMD MI300"
    assert machine.gpu_details == ["AMD MI300"] * 3  # the driver does not know them


def test_a_keras_that_cannot_be_imported(tmp_path: Path, driver: Path) -> None:
    (tmp_path / "keras.py").write_text("raise ImportError('no backend here')\n")
    with pytest.raises(RuntimeError, match=r"could not be asked.*no backend here"):
        detect_machine()


def test_the_report_names_the_gpus(tmp_path: Path, driver: Path) -> None:
    write_keras(tmp_path, "torch", 1)
    write_notebook(tmp_path / "notebooks" / "a.ipynb", "1")
    folder, out = tmp_path / "notebooks", tmp_path / "out"
    (run,) = run_notebooks(device="gpu", notebooks=folder, out=out)
    assert (run.passed, run.device) == (True, "NVIDIA H200")
    report = read_report(out)
    assert (report["device"], report["versions"]["torch"]) == ("NVIDIA H200", "9.9")
    assert report["gpus"] == ["NVIDIA H200, 143771 MiB, 570.8"]
    driver.unlink()
    assert Machine("jax", "1", ("NVIDIA H200",)).gpu_details == ["NVIDIA H200"]
