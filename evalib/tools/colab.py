"""The repository's address in badges and first cells. Only the standard library is imported."""

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
    rf"(https://colab\.research\.google\.com/github/|git\+{GITHUB}|git clone {GITHUB})({_SLUG})"
)
_PROJECT_URL = re.compile(r'(^\[project\.urls\][^\[]*?^Repository *= *")([^"]*)', re.MULTILINE)


def repository_folder() -> Path:
    """The checkout: the folder above the package, or the current one."""
    above = Path(__file__).resolve().parents[2]
    return above if (above / "pyproject.toml").is_file() else Path.cwd()


def normalize_repository(url: str) -> str:
    """Bring the address of a repository on GitHub into one form, or raise a ValueError."""
    address = url.strip().replace("git@github.com:", GITHUB).rstrip("/").removesuffix(".git")
    if not re.fullmatch(f"{GITHUB}{_SLUG}", address):
        raise ValueError(f"expected https://github.com/OWNER/REPOSITORY, got {url!r}")
    return address


def read_repository(folder: Path) -> str:
    """Read the address from a checkout's pyproject.toml; raises a ValueError if it has none."""
    path = folder / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    if "Repository" not in project.get("urls", {}):
        raise ValueError(f"expected [project.urls] Repository in {path}, found none")
    return normalize_repository(project["urls"]["Repository"])


def set_repository(url: str, folder: Path) -> list[Path]:
    """Write a repository's address everywhere it stands; return the files that changed.

    Raises a ValueError before it writes: no address on GitHub, or none to replace.
    """
    repository = normalize_repository(url)
    read_repository(folder)
    slug, project = repository.removeprefix(GITHUB), folder / "pyproject.toml"
    old = {path: path.read_bytes().decode() for path in [project, *_pages(folder)]}
    new = {path: _ADDRESS.sub(rf"\g<1>{slug}", text) for path, text in old.items()}
    new[project], count = _PROJECT_URL.subn(rf"\g<1>{repository}", old[project])
    if count != 1:
        raise ValueError(f'expected one line Repository = "..." in {project}, found {count}')
    changed = [path for path in old if new[path] != old[path]]
    for path in changed:
        times = path.stat()  # by which `make sync` knows what was edited last
        write_atomically(path, new[path])
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    return changed


def wrong_addresses(folder: Path) -> list[str]:
    """List what differs from the checkout: addresses, badges, first cells, versions of evalib."""
    repository = read_repository(folder)
    colab = f"https://colab.research.google.com/github/{repository.removeprefix(GITHUB)}/blob/main"
    version = f'ev.check_version("{".".join(__version__.split(".")[:2])}")'
    lines: list[str] = []
    for path in _pages(folder):
        name = path.relative_to(folder).as_posix()
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join(source for _, source, _ in read_cells(path))
        found = dict.fromkeys(f"{GITHUB}{match[2]}" for match in _ADDRESS.finditer(text))
        found.pop(repository, None)
        lines += [f"{name}: found {address}, expected {repository}" for address in found]
        page = name.replace("/src/", "/").removesuffix(path.suffix)
        badge = f"[![Open In Colab]({BADGE_IMAGE})]({colab}/{page}.ipynb)"
        for part in (badge, FIRST_CELL.format(repository=repository), version):
            if path.suffix != ".md" and part not in text:
                lines.append(f"{name}: expected {part.splitlines()[0]}")
    return lines


def read_cells(notebook: Path) -> list[tuple[str, str, list[str]]]:
    """The kind, source and tags of each cell. Raises a ValueError where it is no notebook."""
    try:
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        tags = [[*map(str, cell["metadata"].get("tags", []))] for cell in cells]
        sources = ["".join(cell["source"]) for cell in cells]
        return list(zip([cell["cell_type"] for cell in cells], sources, tags, strict=True))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{notebook}: expected a notebook") from error


def _pages(folder: Path) -> list[Path]:
    patterns = ("*.ipynb", "src/*.py", "further/*.ipynb", "further/src/*.py")
    paths = [path for one in patterns for path in sorted((folder / "notebooks").glob(one))]
    return [folder / "README.md", *(path for path in paths if not path.name.startswith("."))]
