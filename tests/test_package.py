"""The package's docstring is its map: it names every module. The picture shows who imports whom."""

import re
from itertools import pairwise
from pathlib import Path

import grimp

import evalib

Arrows = set[tuple[str, str]]


def test_the_map_names_every_module_once():
    folder = Path(__file__).parents[1] / "evalib"
    modules = {path.stem for path in folder.glob("[a-z]*.py")}
    words = str(evalib.__doc__).split("`")[1::2]
    assert sorted(words) == sorted(modules)


def group_of_each_module() -> dict[str, str]:
    """Read the map: module to the group that it stands in."""
    entries = re.findall(r"^- (.+?)(?=^- |\n\n)", str(evalib.__doc__), re.DOTALL | re.MULTILINE)
    groups = {entry.partition(":")[0]: re.findall(r"`(\w+)`", entry) for entry in entries}
    return {module: group for group, modules in groups.items() for module in modules}


def imports_between_groups() -> Arrows:
    """Every import of a module by one of another group."""
    group = group_of_each_module()
    graph = grimp.build_graph("evalib", cache_dir=None)
    arrows = set()
    for module in group:
        for imported in graph.find_modules_directly_imported_by(f"evalib.{module}"):
            other = group.get(imported.removeprefix("evalib."))
            if other is not None and other != group[module]:
                arrows.add((group[module], other))
    return arrows


def drawn(picture: str) -> tuple[set[str], Arrows]:
    """Read the groups and the arrows of a Mermaid flowchart."""
    titles = dict(re.findall(r'(\w+)\["(.+?)"\]', picture))
    arrows = set()
    for line in re.sub(r'\[".+?"\]', "", picture).splitlines():
        steps = [re.findall(r"\w+", part) for part in line.split("-->")]
        for above, below in pairwise(steps):
            arrows |= {(titles[a], titles[b]) for a in above for b in below}
    return set(titles.values()), arrows


def with_detours(arrows: Arrows) -> Arrows:
    """Add an arrow wherever a chain of arrows leads."""
    reached = set(arrows)
    while more := {(a, d) for a, b in reached for c, d in arrows if b == c} - reached:
        reached |= more
    return reached


def test_the_picture_shows_the_imports(repository: Path):
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    picture = re.findall(r"```mermaid\nflowchart TD\n(.+?)```", text, re.DOTALL)[0]
    groups, arrows = drawn(picture)
    imports = imports_between_groups()
    assert groups == set(group_of_each_module().values())
    assert arrows <= imports, "an arrow without an import"
    assert imports <= with_detours(arrows), "an import without an arrow"
    assert not [a for a, b in with_detours(imports) if a == b], "groups import each other"


def test_a_picture_is_read_as_it_is_drawn():
    picture = 'a["one"] --> b["two, three"] & c["four"]\nb & c --> d["five"]\ne["alone"]\n'
    groups, arrows = drawn(picture)
    assert groups == {"one", "two, three", "four", "five", "alone"}
    assert arrows == {
        ("one", "two, three"),
        ("one", "four"),
        ("two, three", "five"),
        ("four", "five"),
    }
    assert ("one", "five") in with_detours(arrows)
