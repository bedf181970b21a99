"""The package's docstring is its map: it names every module."""

from pathlib import Path

import evalib


def test_the_map_names_every_module_once():
    folder = Path(__file__).parents[1] / "evalib"
    modules = {path.stem for path in folder.glob("[a-z]*.py")}
    words = str(evalib.__doc__).split("`")[1::2]
    assert sorted(words) == sorted(modules)
