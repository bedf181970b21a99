"""The repository's address, written into badges and first cells, and checked there.

It stands in one place, `[project.urls] Repository` in pyproject.toml. Nothing beyond the standard
library is imported here, so that a fork can set its address before anything is installed.
"""

import json
import os
import re
import tomllib
from pathlib import Path

from evalib import __version__
from evalib.results import write_atomically

GITHUB = "https://github.com/"
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"

# The first code cell of every notebook, after {repository} is filled in. It installs evalib alone:
# Colab's own TensorFlow stays as it is. Without an address it asks for a zip of the repository.
FIRST_CELL = """\
# @title On Colab, install evalib. Elsewhere, this cell does nothing.
import sys; SOURCE = "git+{repository}"
if "google.colab" in sys.modules and "/OWNER/" in SOURCE: from google.colab import files; print("Choose a zip of this repository."); SOURCE = next(iter(files.upload()), "no.zip")
if "google.colab" in sys.modules: get_ipython().run_line_magic("pip", f'install -q --no-deps "{{SOURCE}}"')"""  # noqa: E501

_SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]*[A-Za-z0-9_-]"
# What stands before an address in badges, first cells and `git clone` commands.
_ADDRESS = re.compile(
    rf"(?P<before>https://colab\.research\.google\.com/github/|git\+{GITHUB}|git clone {GITHUB})"
    rf"(?P<slug>{_SLUG})(?P<blob>/blob/main/notebooks/(?P<path>[\w/.-]+))?"
)
_PROJECT_URL = re.compile(r'(^\[project\.urls\][^\[]*?^Repository *= *")([^"]*)', re.MULTILINE)


def repository_folder() -> Path:
    """Find the checkout: the folder above the package, or the current one.

    Raises:
        ValueError: neither holds a pyproject.toml.
    """
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise ValueError(f"expected a checkout with pyproject.toml, found none in {Path.cwd()}")


def normalize_repository(url: str) -> str:
    """Bring the address of a repository on GitHub into the one form that is stored.

    Args:
        url: such as `https://github.com/owner/name`, with or without a final slash or `.git`, or
            `git@github.com:owner/name.git`.

    Raises:
        ValueError: it is no such address.
    """
    address = url.strip().replace("git@github.com:", GITHUB).rstrip("/").removesuffix(".git")
    if not address.startswith(GITHUB) or not re.fullmatch(_SLUG, address.removeprefix(GITHUB)):
        raise ValueError(f"expected https://github.com/OWNER/REPOSITORY, got {url!r}")
    return address


def read_repository(folder: Path) -> str:
    """Read the repository's address from the pyproject.toml of a checkout.

    Raises:
        ValueError: there is no pyproject.toml, or it holds no address.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        raise ValueError(f"expected pyproject.toml in {folder}, found none")
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    url = project.get("urls", {}).get("Repository")
    if not isinstance(url, str):
        raise ValueError(f"expected [project.urls] Repository in {path}, found none")
    return normalize_repository(url)


def set_repository(url: str, folder: Path) -> list[Path]:
    """Write a repository's address everywhere it stands: pyproject.toml, badges, first cells.

    Not one other byte changes. Files keep the time of their last change, so that a later
    `make sync` still knows which half of a pair was edited last.

    Args:
        url: the address.
        folder: the checkout.

    Returns:
        The files that changed.

    Raises:
        ValueError: it is no address on GitHub, or pyproject.toml holds none to replace.
    """
    repository = normalize_repository(url)
    read_repository(folder)
    changes: dict[Path, str] = {}
    for path in [folder / "pyproject.toml", *_files_with_addresses(folder)]:
        old = path.read_bytes().decode("utf-8")
        if path.name == "pyproject.toml":
            new, count = _PROJECT_URL.subn(rf"\g<1>{repository}", old)
            if count != 1:
                raise ValueError(f'expected one line Repository = "..." in {path}, found {count}')
        else:
            slug = repository.removeprefix(GITHUB)
            new = _ADDRESS.sub(rf"\g<before>{slug}\g<blob>", old)
        if new != old:
            changes[path] = new
    # Only now is anything written: a refusal above leaves every file as it was.
    for path, text in changes.items():
        times = path.stat()
        write_atomically(path, text)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return list(changes)


def wrong_addresses(folder: Path) -> list[str]:
    """List every place whose address or version is not that of the checkout.

    Each notebook and its script need the badge, the first cell, and the version of evalib that
    they were written for.

    Args:
        folder: the checkout.

    Returns:
        Lines `file: found X, expected Y`; empty when all is in order.

    Raises:
        ValueError: pyproject.toml holds no address.
    """
    repository = read_repository(folder)
    lines: list[str] = []
    for path in _files_with_addresses(folder):
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            try:
                cells = json.loads(text)["cells"]
                text = "\n".join("".join(cell["source"]) for cell in cells)
            except (ValueError, TypeError, KeyError):
                lines.append(f"{name}: expected a notebook")
                continue
        found = [f"{GITHUB}{match['slug']}" for match in _ADDRESS.finditer(text)]
        wrong = dict.fromkeys(address for address in found if address != repository)
        lines += [f"{name}: found {address}, expected {repository}" for address in wrong]
        if path.suffix != ".md":
            lines += [f"{name}: {line}" for line in _wrong_head(path, text, repository)]
    return lines


def _wrong_head(path: Path, text: str, repository: str) -> list[str]:
    """Say which of badge, first cell and version a notebook or its script lacks."""
    page = f"{path.stem}.ipynb" if path.parent.name != "further" else f"further/{path.stem}.ipynb"
    if path.parent.parent.name == "further":
        page = f"further/{page}"
    slug = repository.removeprefix(GITHUB)
    target = f"https://colab.research.google.com/github/{slug}/blob/main/notebooks/{page}"
    lines = []
    if f"[![Open In Colab]({BADGE_IMAGE})]({target})" not in text:
        linked = [match["path"] for match in _ADDRESS.finditer(text) if match["path"]]
        what = f"a badge for {', '.join(linked)}" if linked else "no badge"
        lines.append(f"found {what}, expected [![Open In Colab]({BADGE_IMAGE})]({target})")
    if FIRST_CELL.format(repository=repository) not in text:
        lines.append("expected FIRST_CELL of evalib.tools.colab as the first code cell")
    version = ".".join(__version__.split(".")[:2])
    if f'ev.check_version("{version}")' not in text:
        lines.append(f'expected ev.check_version("{version}") below `import evalib as ev`')
    return lines


def _files_with_addresses(folder: Path) -> list[Path]:
    notebooks = folder / "notebooks"
    patterns = ("*.ipynb", "src/*.py", "further/*.ipynb", "further/src/*.py")
    paths = [folder / "README.md", *(p for one in patterns for p in sorted(notebooks.glob(one)))]
    return [path for path in paths if path.is_file() and not path.name.startswith(".")]
