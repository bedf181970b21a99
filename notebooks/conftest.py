"""nbval as `evalib run` does it: in a known environment, and no failed cell passes.

nbval sees an error by the traceback that a cell sends. An unknown magic sends none, and nothing
after it in the cell runs. The kernel's reply knows better.
"""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

HOME = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("nbval", default=False):
        return
    from nbval.kernel import RunningKernel
    from nbval.plugin import IPyNbCell

    from evalib.tools.kernels import kernel_environment

    config.stash[HOME] = Path(tempfile.mkdtemp(prefix="evalib-nbval-"))
    environment = kernel_environment(config.stash[HOME])
    os.environ.clear()
    os.environ.update(environment)

    get_message, run_cell = RunningKernel.get_message, IPyNbCell.runtest

    def noting(self, stream, timeout=None):  # type: ignore[no-untyped-def]
        message = get_message(self, stream, timeout)
        if stream == "shell":
            self.status = message["content"].get("status")
        return message

    def runtest(self) -> None:  # type: ignore[no-untyped-def]
        run_cell(self)
        skipped = self.options["skip"] or self.options["check_exception"]
        if not skipped and self.parent.kernel.status == "error":
            self.raise_cell_error(
                "The cell failed and sent no traceback: an unknown magic, or an ExceptionGroup?"
            )

    RunningKernel.get_message, IPyNbCell.runtest = noting, runtest


def pytest_unconfigure(config: pytest.Config) -> None:
    if HOME in config.stash:
        shutil.rmtree(config.stash[HOME], ignore_errors=True)
