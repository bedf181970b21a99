"""The repository's address: one place holds it, badges and first cells are written from it.

The place is `[project.urls] Repository` in pyproject.toml. Nothing beyond the standard library is
imported here, so that a fork can set its address before anything is installed.
"""

import json
import re
import tomllib
from pathlib import Path

from evalib.files import write_atomically

GITHUB = "https://github.com/"
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"

_SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]*[A-Za-z0-9_-]"
_BADGE = re.compile(
    rf"(?P<before>https://colab\.research\.google\.com/github/)(?P<slug>{_SLUG})"
    r"(?P<after>/blob/main/(?P<path>[^\s)\"'\\]+))"
)
# Inside a notebook's JSON the quotes are escaped, in a percent script they are not.
_FIRST_CELL = re.compile(
    rf"(?P<before>\bREPOSITORY = \\?\"https://github\.com/)(?P<slug>{_SLUG})(?P<after>\\?\")"
)
_CLONE = re.compile(rf"(?P<before>git clone https://github\.com/)(?P<slug>{_SLUG})(?P<after>)")
_PROJECT_URLS = re.compile(
    r"(?P<before>^\[project\.urls\][^\[]*?^Repository *= *\")(?P<url>[^\"]*)(?P<after>\")",
    re.MULTILINE,
)


def repository_folder() -> Path:
    """Find the checkout that this package belongs to.

    Returns:
        The folder above the package if it holds pyproject.toml, else the current folder.

    Raises:
        ValueError: Neither folder holds a pyproject.toml.
    """
    for folder in (Path(__file__).resolve().parent.parent, Path.cwd()):
        if (folder / "pyproject.toml").is_file():
            return folder
    raise ValueError(f"expected a checkout with pyproject.toml, found none in {Path.cwd()}")


def normalize_repository(url: str) -> str:
    """Bring a repository's address into the one form that is stored.

    Args:
        url: Such as `https://github.com/owner/name`; a final slash or `.git` is dropped.

    Returns:
        The address without final slash and `.git`.

    Raises:
        ValueError: The address is not that of a repository on GitHub.
    """
    address = url.strip().rstrip("/").removesuffix(".git")
    if not address.startswith(GITHUB) or not re.fullmatch(_SLUG, address.removeprefix(GITHUB)):
        raise ValueError(f"expected https://github.com/OWNER/REPOSITORY, got {url!r}")
    return address


def read_repository(folder: Path) -> str:
    """Read the repository's address from a checkout.

    Args:
        folder: The folder that holds pyproject.toml.

    Returns:
        The address under `[project.urls] Repository`, normalized.

    Raises:
        ValueError: There is no pyproject.toml, or it holds no address.
    """
    path = folder / "pyproject.toml"
    if not path.is_file():
        raise ValueError(f"expected pyproject.toml in {folder}, found none")
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {})
    url = project.get("urls", {}).get("Repository")
    if not isinstance(url, str):
        raise ValueError(f"expected [project.urls] Repository in {path}, found none")
    return normalize_repository(url)


def badge(repository: str, notebook: str) -> str:
    """Write the Markdown of a notebook's "Open in Colab" badge.

    Args:
        repository: The repository's address.
        notebook: The notebook's file name, such as `05_s3_assignment.ipynb`.

    Returns:
        The Markdown of a linked image.
    """
    slug = normalize_repository(repository).removeprefix(GITHUB)
    target = f"https://colab.research.google.com/github/{slug}/blob/main/notebooks/{notebook}"
    return f"[![Open In Colab]({BADGE_IMAGE})]({target})"


def set_repository(url: str, folder: Path) -> list[Path]:
    """Write a repository's address everywhere it stands.

    These are pyproject.toml, and in README.md, the notebooks and their percent scripts the badges,
    the `REPOSITORY = "..."` lines and the `git clone` commands. Not one other byte changes.

    Args:
        url: The address, `https://github.com/OWNER/REPOSITORY`.
        folder: The checkout.

    Returns:
        The files that changed; none when the address was already set.

    Raises:
        ValueError: The address is not one of GitHub, or pyproject.toml holds none to replace.
    """
    repository = normalize_repository(url)
    read_repository(folder)
    slug = repository.removeprefix(GITHUB)
    changes: dict[Path, str] = {}
    for path in [folder / "pyproject.toml", *_files_with_addresses(folder)]:
        old = path.read_bytes().decode("utf-8")
        if path.name == "pyproject.toml":
            new, count = _PROJECT_URLS.subn(rf"\g<before>{repository}\g<after>", old)
            if count != 1 or tomllib.loads(new)["project"]["urls"]["Repository"] != repository:
                raise ValueError(f'expected one line Repository = "..." in {path}, found {count}')
        else:
            new = old
            for pattern in (_BADGE, _FIRST_CELL, _CLONE):
                new = pattern.sub(rf"\g<before>{slug}\g<after>", new)
        if new != old:
            changes[path] = new
    # Only now is anything written: a refusal above leaves every file as it was.
    for path, text in changes.items():
        write_atomically(path, text)
    return list(changes)


def wrong_addresses(folder: Path) -> list[str]:
    """List every place whose address differs from that in pyproject.toml.

    Each notebook needs its badge in its first Markdown cell and the line `REPOSITORY = "..."` in
    its first code cell; its percent script needs both as well.

    Args:
        folder: The checkout.

    Returns:
        Lines `file: found X, expected Y`; empty when all is in order.

    Raises:
        ValueError: pyproject.toml holds no address.
    """
    repository = read_repository(folder)
    lines: list[str] = []
    for path in _files_with_addresses(folder):
        text = path.read_text(encoding="utf-8")
        name = path.relative_to(folder).as_posix()
        found = _compare_addresses(text, repository)
        if path.suffix == ".ipynb":
            try:
                markdown, code = _first_cells(text)
            except (ValueError, TypeError, KeyError, AttributeError):
                lines.append(f"{name}: found a file that is not a notebook, expected a notebook")
                continue
            found += _compare_head(markdown, code, repository, path.name)
        elif path.suffix == ".py":
            found += _compare_head(text, text, repository, f"{path.stem}.ipynb")
        lines += [f"{name}: {line}" for line in dict.fromkeys(found)]
    return lines


def _files_with_addresses(folder: Path) -> list[Path]:
    notebooks = folder / "notebooks"
    paths = [folder / "README.md", *sorted(notebooks.glob("*.ipynb"))]
    paths += sorted((notebooks / "src").glob("*.py"))
    return [path for path in paths if path.is_file() and not path.name.startswith(".")]


def _compare_addresses(text: str, repository: str) -> list[str]:
    """Compare each address in a text with the repository's."""
    found = [match["slug"] for match in _BADGE.finditer(text)]
    found += [match["slug"] for match in _FIRST_CELL.finditer(text)]
    found += [match["slug"].removesuffix(".git") for match in _CLONE.finditer(text)]
    return [
        f"found {GITHUB}{slug}, expected {repository}"
        for slug in found
        if GITHUB + slug != repository
    ]


def _compare_head(markdown: str, code: str, repository: str, notebook: str) -> list[str]:
    """Say which of a notebook's badge and `REPOSITORY` line is absent or leads elsewhere."""
    lines = []
    expected = f"notebooks/{notebook}"
    linked = [match["path"] for match in _BADGE.finditer(markdown)]
    if expected not in linked:
        what = f"a badge for {', '.join(linked)}" if linked else "no Colab badge"
        lines.append(f"found {what}, expected {badge(repository, notebook)}")
    if not _FIRST_CELL.search(code):
        lines.append(f'found no REPOSITORY line, expected REPOSITORY = "{repository}"')
    return lines


def _first_cells(text: str) -> tuple[str, str]:
    """Take the sources of a notebook's first Markdown cell and first code cell."""
    first = {"markdown": "", "code": ""}
    for cell in reversed(json.loads(text)["cells"]):
        first[cell["cell_type"]] = "".join(cell["source"])
    return first["markdown"], first["code"]
