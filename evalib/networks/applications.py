"""Models to look at: networks of `keras.applications`, and saved ones."""

import contextlib
import difflib
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path

import keras
from keras.src.backend.common import global_state

import evalib.networks.layers  # noqa: F401 -- Keras must know these to load a model that has them


def application_names() -> list[str]:
    """The networks that this version of Keras knows, such as "VGG16"."""
    return [name for name in dir(keras.applications) if name[:1].isupper()]


def application_graph(name: str, *, values: bool = False, **options: object) -> keras.Model:
    """Build a network of `keras.applications`, such as "ResNet50", without values for its weights.

    Its layers, shapes and parameter counts are all there at once and without the memory. It cannot
    run, unless `values` asks for random ones. `options`, such as `input_shape` and `include_top`,
    are those of the network's function.
    """
    names = application_names()
    if name not in names:
        close = ", ".join(difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names)
        raise ValueError(f"expected a network of keras.applications such as {close}, got {name!r}")
    if name == "NASNetLarge":
        # For inputs of any size Keras builds branches that fit together at none.
        options = {"input_shape": (331, 331, 3)} | options
    with contextlib.nullcontext() if values else _no_values():
        return getattr(keras.applications, name)(weights=None, **options)


@contextlib.contextmanager
def _no_values() -> Iterator[None]:
    """Leave the variables that are made inside without values for good.

    Keras keeps them in a list that no public function shortens, and whichever model is built next
    would give them all their values: half a gigabyte for VGG16.
    """
    waiting = global_state.get_global_attribute("uninitialized_variables", [], set_to_default=True)
    known = len(waiting)
    try:
        with keras.StatelessScope(initialize_variables=False):
            yield
    finally:
        del waiting[known:]


def load_or_build(name: str, *, values: bool = False, **options: object) -> keras.Model:
    """The saved model in a `.keras` file if the name is one's, else `application_graph`.

    A ValueError of one line says if there is none, or if the file holds no model to be read.
    """
    path = Path(name)
    if path.is_dir():
        kind = "a SavedModel, which keeps no layers" if list(path.glob("*.pb")) else "a folder"
        raise ValueError(f"expected a network or a .keras file of model.save, got {name}: {kind}")
    if not path.is_file():
        if path.suffix or len(path.parts) > 1:
            raise ValueError(f"expected a model file, but there is none at {name}")
        return application_graph(name, values=values, **options)
    if options:
        raise ValueError(f"expected no {', '.join(options)} for {name}: a saved model has its own")
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, TypeError, ValueError, KeyError, zipfile.BadZipFile) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        unknown = re.search(r"Could not locate class '(\w+)'", str(error))
    if unknown:
        reason = f"import the module that registers its class {unknown[1]} (--import MODULE)"
    elif path.suffix == ".keras" and not zipfile.is_zipfile(path):
        reason = "it is no .keras archive, or it was cut off"
    raise ValueError(f"expected a Keras model in {name}, but it cannot be read: {reason}")
