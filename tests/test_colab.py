"""evalib.colab: one address, written everywhere and checked everywhere."""

import ast
import json
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbformat import v4

from evalib.colab import (
    badge,
    normalize_repository,
    read_repository,
    set_repository,
    wrong_addresses,
)

PLACEHOLDER = "https://github.com/OWNER/REPOSITORY"
REAL = Path(__file__).resolve().parent.parent
BADGE = (
    "[![Open In Colab](https://colab.research.google.com/assets/colab-badge.svg)]"
    "(https://colab.research.google.com/github/OWNER/REPOSITORY/blob/main/notebooks/"
    "05_s3_assignment.ipynb)"
)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Write a small checkout whose files hold the placeholder and things to leave alone."""
    source = tmp_path / "notebooks" / "src"
    source.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text(
        "[project]\nname = 'x'\n\n# one place\n[project.urls]\nHomepage = \"https://example.com\"\n"
        f'Repository = "{PLACEHOLDER}"  # a fork changes it\n\n[tool.x]\nRepository = "not this"\n'
    )
    (tmp_path / "README.md").write_bytes(
        f"# Course\r\n\r\n{BADGE}\r\n\r\nUntil it is set it is {PLACEHOLDER}.\r\n"
        f"    git clone {PLACEHOLDER}\r\nSee https://github.com/keras-team/keras.\r\n".encode()
    )
    notebook = v4.new_notebook(
        cells=[
            v4.new_markdown_cell(f"# Session 3 – Straße\n\n{BADGE}"),
            v4.new_code_cell(f'REPOSITORY = "{PLACEHOLDER}"\nprint(1)'),
            v4.new_code_cell('OTHER = "https://github.com/OWNER/REPOSITORY"'),
        ]
    )
    # Not nbformat's own layout: a rewrite must not bring it into that.
    text = json.dumps(notebook, indent=3, ensure_ascii=True)
    (tmp_path / "notebooks" / "05_s3_assignment.ipynb").write_text(text)
    (source / "05_s3_assignment.py").write_text(
        f'# %% [markdown]\n# {BADGE}\n\n# %%\nREPOSITORY = "{PLACEHOLDER}"\n'
    )
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_round_trip(checkout: Path) -> None:
    before = contents(checkout)
    assert wrong_addresses(checkout) == []

    changed = set_repository("https://github.com/ada-l/deep.course_1/", checkout)

    assert sorted(path.name for path in changed) == [
        "05_s3_assignment.ipynb",
        "05_s3_assignment.py",
        "README.md",
        "pyproject.toml",
    ]
    assert read_repository(checkout) == "https://github.com/ada-l/deep.course_1"
    assert wrong_addresses(checkout) == []
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    assert project["project"]["urls"]["Homepage"] == "https://example.com"
    assert project["tool"]["x"]["Repository"] == "not this"
    readme = (checkout / "README.md").read_bytes().decode()
    assert "/github/ada-l/deep.course_1/blob/main/notebooks/05_s3_assignment.ipynb)" in readme
    assert f"it is {PLACEHOLDER}.\r\n" in readme
    assert "git clone https://github.com/ada-l/deep.course_1\r\n" in readme
    cells = nbformat.read(checkout / "notebooks" / "05_s3_assignment.ipynb", as_version=4).cells
    assert cells[1].source == 'REPOSITORY = "https://github.com/ada-l/deep.course_1"\nprint(1)'
    assert cells[2].source == f'OTHER = "{PLACEHOLDER}"'

    # Idempotent, and the way back leads to the very same bytes.
    assert set_repository("https://github.com/ada-l/deep.course_1", checkout) == []
    set_repository(PLACEHOLDER, checkout)
    assert contents(checkout) == before


@pytest.mark.parametrize(
    "url",
    ["https://github.com/a/b", "https://github.com/a/b/", " https://github.com/a/b.git\n"],
)
def test_addresses_are_normalized(url: str) -> None:
    assert normalize_repository(url) == "https://github.com/a/b"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/a/b",
        "http://github.com/a/b",
        "https://gitlab.com/a/b",
        "https://github.com/a",
        "https://github.com/a/b/tree/main",
        "https://github.com/a/..",
        'https://github.com/a/b"\nimport os',
        "git@github.com:a/b.git",
    ],
)
def test_other_addresses_are_refused(checkout: Path, url: str) -> None:
    before = contents(checkout)
    with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/REPOSITORY, got"):
        set_repository(url, checkout)
    assert contents(checkout) == before


def test_a_project_without_an_address(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected pyproject\.toml"):
        wrong_addresses(tmp_path)
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    with pytest.raises(ValueError, match=r"expected \[project\.urls\] Repository"):
        set_repository(PLACEHOLDER, tmp_path)


def test_every_wrong_place_is_listed(checkout: Path) -> None:
    notebooks = checkout / "notebooks"
    original = (notebooks / "05_s3_assignment.ipynb").read_text()
    other = original.replace("OWNER/REPOSITORY", "else/where")
    (notebooks / "05_s3_assignment.ipynb").write_text(other)
    (notebooks / "06_copy.ipynb").write_text(original)
    bare = v4.new_notebook(cells=[v4.new_markdown_cell("# x"), v4.new_code_cell("1")])
    nbformat.write(bare, notebooks / "07_bare.ipynb")
    (notebooks / "08_broken.ipynb").write_text("[]")
    (notebooks / "src" / "05_s3_assignment.py").write_text("# no address\n")
    (checkout / "README.md").unlink()

    elsewhere = "found https://github.com/else/where"
    line = f'found no REPOSITORY line, expected REPOSITORY = "{PLACEHOLDER}"'
    assert wrong_addresses(checkout) == [
        f"notebooks/05_s3_assignment.ipynb: {elsewhere}, expected {PLACEHOLDER}",
        "notebooks/06_copy.ipynb: found a badge for notebooks/05_s3_assignment.ipynb, expected "
        + BADGE.replace("05_s3_assignment", "06_copy"),
        "notebooks/07_bare.ipynb: found no Colab badge, expected "
        + BADGE.replace("05_s3_assignment", "07_bare"),
        f"notebooks/07_bare.ipynb: {line}",
        "notebooks/08_broken.ipynb: found a file that is not a notebook, expected a notebook",
        f"notebooks/src/05_s3_assignment.py: found no Colab badge, expected {BADGE}",
        f"notebooks/src/05_s3_assignment.py: {line}",
    ]


def test_badge_has_the_form_that_colab_documents() -> None:
    assert badge(PLACEHOLDER, "05_s3_assignment.ipynb") == BADGE


def test_this_repository() -> None:
    repository = tomllib.loads((REAL / "pyproject.toml").read_text())["project"]["urls"]
    assert read_repository(REAL) == repository["Repository"]
    assert wrong_addresses(REAL) == []
    # Read once more without evalib.colab's patterns.
    for path in sorted((REAL / "notebooks").glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        first_markdown = next(cell.source for cell in cells if cell.cell_type == "markdown")
        first_code = next(cell.source for cell in cells if cell.cell_type == "code")
        assert badge(repository["Repository"], path.name) in first_markdown, path.name
        assigned = {
            target.id: ast.literal_eval(node.value)
            for node in ast.walk(ast.parse(first_code.replace("%pip", "# %pip")))
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        assert assigned.get("REPOSITORY") == repository["Repository"], path.name
