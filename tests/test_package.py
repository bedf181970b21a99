"""The surface and the shape of the package: what is offered, and who imports whom."""

import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import evalib as ev

SHARED = """
    load_mnist split_validation prepare_images sample_photo
    SOBEL_X SOBEL_Y LAPLACIAN apply_kernel sobel_gradients gradient_magnitude laplacian
    fixed_convolution
    conv_block transition_block SReLU RandomAffine
    baseline_network s3_network session2_network squeeze_expand_network
    receptive_field receptive_field_table measure_receptive_field register_layer effective_field
    kernel_overlap maximize_activation Recipe train score read_results results_folder check_version
"""
ROOMS = ("plots", "features", "training", "receptive_fields", "networks", "data")


def test_the_surface():
    assert dir(ev) == sorted([*SHARED.split(), *ROOMS])
    for package in (ev, *(getattr(ev, room) for room in ROOMS)):
        for name in dir(package):
            assert getattr(package, name) is not None


def test_a_name_means_one_thing():
    """No module has the name of what a room offers, and no two rooms offer the same name."""
    modules = {info.name.rpartition(".")[2] for info in pkgutil.walk_packages(ev.__path__)}
    offered = [name for room in ROOMS for name in dir(getattr(ev, room))]
    assert not modules & {*offered, *SHARED.split()}
    assert len(offered) == len(set(offered))


def test_importing_it_loads_nothing_and_takes_no_time():
    code = (
        "import time; start = time.process_time(); import evalib, sys; "
        "print(time.process_time() - start, {'keras', 'numpy', 'matplotlib'} & set(sys.modules))"
    )
    seconds, loaded = subprocess.check_output([sys.executable, "-c", code], text=True).split()
    assert (loaded, float(seconds) < 0.3) == ("set()", True)


def test_the_picture_is_that_of_the_contract(repository: Path):
    """CONTRIBUTING draws the rooms in the order of import-linter's contract in pyproject.toml."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    rooms = [room for room in layers if not room.startswith("__")]
    text = (repository / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"```mermaid\nflowchart TD\n(.+?)```", text, re.DOTALL)
    boxes = dict(re.findall(r'(\w+)\["(.+?)"\]', picture))
    assert list(boxes) == rooms
    for room, shown in boxes.items():
        summary = str(importlib.import_module(f"evalib.{room}").__doc__).partition("\n")[0]
        assert shown == f"<b>{room}</b><br>{summary.rstrip('.')}"
    assert re.findall(r"\w+(?: --> \w+)+", picture) == [" --> ".join(rooms)]


def test_every_room_has_its_folder_of_tests(repository: Path):
    for path in (repository / "evalib").iterdir():
        if path.is_dir() and (path / "__init__.py").is_file():
            assert (repository / "tests" / path.name).is_dir()
    assert ev.__version__ == importlib.metadata.version("evalib")
