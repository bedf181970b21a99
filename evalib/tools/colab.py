"""What notebooks need on Colab: the repository's address, and the revision of evalib to install.

The address stands in one place, `[project.urls] Repository` in pyproject.toml; badges and first
cells are written from it. The revision stands in the first cells alone: it is a commit that came
before them, for a commit cannot hold its own name. Nothing beyond the standard library is imported
here, so that a fork can set its address before anything is installed.
"""

import ast
import json
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

from evalib.files import write_atomically

GITHUB = "https://github.com/"
BADGE_IMAGE = "https://colab.research.google.com/assets/colab-badge.svg"

_SLUG = r"[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]*[A-Za-z0-9_-]"
_BADGE = re.compile(
    rf"(?P<before>https://colab\.research\.google\.com/github/)(?P<slug>{_SLUG})"
    r"(?P<after>/blob/main/(?P<path>[^\s)\"'\\]+))"
)
# Inside a notebook's JSON the quotes are escaped, and `\n` in letters may stand before a name.
_FIRST_CELL = re.compile(
    rf"(?P<before>(?<![A-Z_])REPOSITORY = \\?\"https://github\.com/)(?P<slug>{_SLUG})(?P<after>\\?\")"
)
_REVISION = re.compile(
    r"(?P<before>(?<![A-Z_])REVISION = \\?\")(?P<revision>[^\"\\]*)(?P<after>\\?\")"
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
    for folder in (Path(__file__).resolve().parents[2], Path.cwd()):
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


def set_revision(revision: str, folder: Path) -> tuple[str, list[Path]]:
    """Write into every first cell which commit of this repository Colab installs evalib from.

    Args:
        revision: Anything by which git knows the commit: "HEAD", a tag, the first digits of a hash.
        folder: The checkout, with git's history.

    Returns:
        The commit's 40 hexadecimal digits, and the files that changed.

    Raises:
        ValueError: It is no commit of this branch's history, evalib lacks there what the notebooks
            need, or a percent script is no Python. Nothing is written then.
    """
    commit = find_commit(revision, folder)
    if missing := missing_at(commit, folder):
        more = [f"and {len(missing) - 10} more"] if len(missing) > 10 else []
        raise ValueError(
            f"expected a revision with all that the notebooks need, got {revision!r}, which lacks\n"
            + "\n".join([*missing[:10], *more])
            + "\nCommit what is missing, then pin again."
        )
    changed = []
    for path in _files_with_addresses(folder):
        old = path.read_bytes().decode("utf-8")
        new = _REVISION.sub(rf"\g<before>{commit}\g<after>", old)
        if new != old and path.suffix in (".ipynb", ".py"):
            write_atomically(path, new)
            changed.append(path)
    return commit, changed


def find_commit(revision: str, folder: Path) -> str:
    """Find the commit that a name or a hash stands for.

    Args:
        revision: As for `set_revision`.
        folder: The checkout, with git's history.

    Returns:
        Its 40 hexadecimal digits.

    Raises:
        ValueError: There is no such commit among those that HEAD is made of.
    """
    found = _git(folder, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if found.returncode != 0:
        why = f" ({found.stderr.strip()})" if found.stderr else ""
        raise ValueError(f"expected a commit of the repository in {folder}, got {revision!r}{why}")
    commit = found.stdout.strip()
    if _git(folder, "merge-base", "--is-ancestor", commit, "HEAD").returncode != 0:
        raise ValueError(f"expected HEAD or a commit before it, got {revision!r} ({commit[:10]})")
    return commit


def missing_at(revision: str, folder: Path) -> list[str]:
    """List what notebooks take from evalib and a revision does not have. Nothing is run.

    Args:
        revision: A commit of this repository.
        folder: The checkout. Its percent scripts are the notebooks that count.

    Returns:
        Lines `notebook: module.name` and `notebook: outputs/file`; empty if nothing is missing.

    Raises:
        ValueError: A script, or a module of that revision, is no Python.
    """
    files = set(_git(folder, "ls-tree", "-r", "--name-only", revision).stdout.splitlines())
    names: dict[str, set[str]] = {}
    lines: list[str] = []
    for script in sorted((folder / "notebooks" / "src").glob("*.py")):
        tree = _parsed(script.read_text(encoding="utf-8"), script.name)
        for module, name in _names_from_evalib(tree):
            path = f"{module.replace('.', '/')}.py" if "." in module else f"{module}/__init__.py"
            if path not in names:
                shown = _git(folder, "show", f"{revision}:./{path}").stdout
                names[path] = set(_defined_names(_parsed(shown, f"{path} of {revision}")))
            if name not in names[path] and f"{module}/{name}.py" not in files:
                lines.append(f"{script.stem}: {module}.{name}")
        lines += [
            f"{script.stem}: outputs/{name}"
            for name in _results_read(tree)
            if f"outputs/{name}" not in files
        ]
    return list(dict.fromkeys(lines))


def _parsed(source: str, name: str) -> ast.Module:
    """Read a source, and say which one it is where that is no Python."""
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise ValueError(f"{name}:{error.lineno}: expected Python, {error.msg}") from None


def _names_from_evalib(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Say what a script imports from evalib or takes from an imported module: module and name."""
    modules: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "evalib":
            for alias in node.names:
                yield str(node.module), alias.name
                if node.module == "evalib":
                    modules[alias.asname or alias.name] = f"evalib.{alias.name}"
        for alias in node.names if isinstance(node, ast.Import) else ():
            package, _, name = alias.name.partition(".")
            if package == "evalib":
                modules[alias.asname or alias.name] = alias.name
                yield from [(package, name)] if name else []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (module := modules.get(ast.unparse(node.value))):
            yield module, node.attr


def _defined_names(tree: ast.Module) -> Iterator[str]:
    """Say which names a module has, without running it."""
    nodes: list[ast.AST] = list(tree.body)
    while nodes:
        node = nodes.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name  # and what stands inside is not the module's
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.asname or alias.name for alias in node.names)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        nodes += ast.iter_child_nodes(node)


def _results_read(tree: ast.Module) -> Iterator[str]:
    """Say which files below outputs/ a script reads by name."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "read_results":
            yield from (str(word.value) for word in node.args if isinstance(word, ast.Constant))
        elif match := re.fullmatch(r"results_folder\(\)((?: / '[^']+')+)", ast.unparse(node)):
            name = "/".join(re.findall(r"'([^']+)'", match[1]))
            if "." in name:  # a folder is on the way to its files
                yield name


def _git(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, capture_output=True, text=True, encoding="utf-8")


def wrong_addresses(folder: Path) -> list[str]:
    """List every place whose address differs from that in pyproject.toml.

    Each notebook needs its badge in its first Markdown cell and the lines `REPOSITORY = "..."` and
    `REVISION = "..."` in its first code cell; its percent script needs them as well. The revision
    is the same in all of them.

    Args:
        folder: The checkout.

    Returns:
        Lines `file: found X, expected Y`; empty when all is in order.

    Raises:
        ValueError: pyproject.toml holds no address.
    """
    repository = read_repository(folder)
    lines: list[str] = []
    revisions: list[str] = []
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
            found += _compare_revision(code, revisions)
        elif path.suffix == ".py":
            found += _compare_head(text, text, repository, f"{path.stem}.ipynb")
            found += _compare_revision(text, revisions)
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


def _compare_revision(code: str, revisions: list[str]) -> list[str]:
    """Compare a first cell's revision with those before it, and add it to them."""
    match = _REVISION.search(code)
    revision = match["revision"] if match else ""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        what = f"REVISION {revision!r}" if match else "no REVISION line"
        return [f"found {what}, expected 40 hexadecimal digits: run `evalib colab --pin`"]
    revisions.append(revision)
    if revision != revisions[0]:
        return [f"found REVISION {revision!r}, expected {revisions[0]!r} as in the first notebook"]
    return []


def _first_cells(text: str) -> tuple[str, str]:
    """Take the sources of a notebook's first Markdown cell and first code cell."""
    first = {"markdown": "", "code": ""}
    for cell in reversed(json.loads(text)["cells"]):
        first[cell["cell_type"]] = "".join(cell["source"])
    return first["markdown"], first["code"]
