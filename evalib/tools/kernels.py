"""A known environment for processes that run notebooks or train, and the end of them all."""

import contextlib
import ctypes
import importlib
import json
import os
import runpy
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
OWN_FOLDER = Path(__file__).resolve().parents[2]  # where this evalib lies
_MARK = "EVALIB_KERNELS"
# They change what code does or prints, how long Keras trains, or whether figures are inline.
_REMOVED = {
    *("PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTHONINSPECT", "PYTHONWARNINGS", "PYTHONVERBOSE"),
    *("PYTHONDEBUG", "PYTHONDEVMODE", "PYTHONBREAKPOINT", "MPLBACKEND", "JUPYTER_CONFIG_PATH"),
    *("KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH", "COLUMNS", "LINES", "NO_COLOR"),
}


def kernel_environment(
    home: Path, *, evalib: Path = OWN_FOLDER, variables: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All variables of a process that starts kernels, or trains; `home` lasts as long as it does.

    Jupyter finds one kernel, this Python with the evalib of a folder; Keras finds its downloads.
    """
    home = home.resolve()
    kernel, keras = home / "jupyter" / "kernels" / KERNEL["name"], home / "keras"
    for folder in (kernel, keras, home / "ipython", home / "runtime"):
        folder.mkdir(parents=True, exist_ok=True)
    command = [*module_command("ipykernel_launcher", evalib), "-f", "{connection_file}"]
    spec = {"argv": command, "env": {n: "" for n in _REMOVED if n.startswith("PYTHON")}, **KERNEL}
    (kernel / "kernel.json").write_text(json.dumps(spec), encoding="utf-8")
    (home / "matplotlibrc").touch()
    for name in ("models", "datasets"):  # what Keras downloads is kept
        with contextlib.suppress(OSError, RuntimeError):  # where there is no home, or it is closed
            own = Path(os.environ.get("KERAS_HOME") or Path("~/.keras").expanduser()) / name
            own.mkdir(parents=True, exist_ok=True)
            (keras / name).symlink_to(own.resolve(), target_is_directory=True)
    jupyter = ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_PATH")
    return {
        **{name: value for name, value in os.environ.items() if name not in _REMOVED},
        **dict.fromkeys(jupyter, str(home / "jupyter")),
        _MARK: str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "JUPYTER_RUNTIME_DIR": str(home / "runtime"),
        "KERAS_HOME": str(keras),
        "MATPLOTLIBRC": str(home / "matplotlibrc"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        **(variables or {}),
    }


def module_command(module: str, evalib: Path = OWN_FOLDER) -> list[str]:
    """The command that runs a module with the evalib of a folder; the current folder is last."""
    return [sys.executable, "-P", str(Path(__file__).resolve()), str(evalib), module]


def end_processes(home: Path) -> None:
    """Kill all processes that were started in the environment of `home`, however far down."""
    for _ in range(50):  # one may start another while we look
        found = False
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error, OSError):  # it has ended, or is somebody else's
                marked = process.environ().get(_MARK) == str(home.resolve())
                if marked and os.getpid() != process.pid and process.status() != "zombie":
                    found = True
                    process.kill()
        if not found:
            return
        time.sleep(0.05)


def describe_ending(status: int) -> str:
    """Name what `subprocess` gives as one number: "signal 9 (SIGKILL)", "exit status 3"."""
    names = {known.value: f" ({known.name})" for known in signal.Signals}
    return f"exit status {status}" if status >= 0 else f"signal {-status}{names.get(-status, '')}"


def _run_module(folder: str, module: str, *arguments: str) -> None:
    if module == "ipykernel_launcher" and sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: at its parent's death
    for name in _REMOVED & os.environ.keys():
        del os.environ[name]
    sys.path.insert(0, folder)  # only now: what else lies there must not shadow a library
    with contextlib.suppress(ModuleNotFoundError):
        importlib.import_module("evalib")
    sys.path[:] = [*sys.path[1:], ""]
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    _run_module(*sys.argv[1:])
