"""Where the images and the models of a notebook come from and where they go, read from its source.

The cells' syntax trees are walked in their order; nothing is run. Values carry labels: "train" and
"test" for images of `load_data()` and all that is made from them, "part" for a piece, "multiplied"
for images put together or repeated, "repeated" for a dataset that repeats itself. Where a name's
origin is not seen, its own wording decides: `X_test` is taken for test images.
"""

import ast
import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from evalib.tools.grade.read import Cell
from evalib.tools.grade.source import call_name, called_names, dotted, dotted_names, parse

Labels = frozenset[str]
Binding = tuple["Place", ast.expr | None]  # where a name gets a value, and from what if it is seen
NOTHING: Labels = frozenset()

_LOADERS = {"load_data", "load_mnist"}
_JOINS = {"concatenate", "concat", "vstack", "append"}
_SPLITS = {"train_test_split", "random_split", "Subset"}
_MODULES = {"np", "numpy", "tf", "keras", "ops", "K", "jnp", "torch"}
# What these give are numbers about the images, or predictions: no images any more.
_NO_IMAGES = {"len", "range", "print", "type", "mean", "std", "var", "min", "max", "sum", "argmax",
              "shape", "fit", "fit_generator", "evaluate", "evaluate_generator", "predict",
              "predict_classes", "predict_generator", "unique", "bincount"}  # fmt: skip
_NO_IMAGES_OF = {"shape", "dtype", "size", "ndim"}
_FITS = ("fit", "fit_generator", "train_on_batch")
_FIT_OPTIONS = ("epochs", "nb_epoch", "batch_size", "validation_data", "validation_split",
                "steps_per_epoch", "samples_per_epoch", "callbacks")  # fmt: skip
_MODEL_CALLS = {*_FITS, "evaluate", "evaluate_generator", "compile", "summary", "count_params"}
_LOOPS = (ast.For, ast.While, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp,
          ast.GeneratorExp)  # fmt: skip
_SCOPES = (*_LOOPS, ast.FunctionDef, ast.Lambda, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)

# Bounds that no notebook written by hand comes near: reading must end soon for any.
_LOOK_BACK = 50  # assignments to one name
_MOST_ORIGINS = 50  # expressions that a value comes from
_MOST_NAMES = 400  # names that are followed for these
_MOST_TARGETS = 10  # of `a = b = c = ...`
_DEEPEST = 40  # names that are followed one after another to images


@dataclass(frozen=True)
class Place:
    """A node, the number of its cell, its place in the order, and what loops etc. are around it."""

    cell: int
    node: ast.AST
    order: int
    around: tuple[ast.AST, ...] = ()

    @property
    def loops(self) -> list[ast.AST]:
        """The loops around it, the outermost first; those around its function do not count."""
        inner: list[ast.AST] = []
        for node in self.around:
            inner = [*inner, node] if isinstance(node, _LOOPS) else []
        return inner

    @property
    def functions(self) -> list[ast.AST]:
        """The functions and classes around it, the outermost first."""
        return [node for node in self.around if not isinstance(node, _LOOPS)]

    def sees(self, other: "Place") -> bool:
        """Whether a name bound at another place, earlier, has that value here."""
        functions = other.functions
        return other.order < self.order and self.functions[: len(functions)] == functions


@dataclass(frozen=True)
class Call(Place):
    """A call, its name, and that of its receiver: "fit" and "model" of `model.fit(...)`."""

    call: ast.Call = field(default_factory=lambda: ast.Call(ast.Name("f"), [], []))
    name: str = ""
    receiver: str = ""

    def argument(self, *names: str) -> ast.expr | None:
        """The value of the first of these keywords that the call has."""
        values = {option.arg: option.value for option in self.call.keywords if option.arg}
        return next((values[name] for name in names if name in values), None)


class Flow:
    """What a notebook does with its images and models."""

    def __init__(self, cells: Iterable[Cell]) -> None:
        self.bindings: dict[str, list[Binding]] = {}  # of names, and attributes as `self.model`
        self.calls: list[Call] = []
        self.classes: list[Place] = []
        self.functions: set[str] = set()  # the names of those that are defined
        self.prints: list[tuple[Place, ast.expr]] = []  # printed arguments, and last values
        self.too_deep: list[int] = []  # cells whose expressions are nested too deeply to follow
        self._labels: dict[tuple[str, int], Labels] = {}
        self._order = 0
        for cell in cells:
            tree = parse(cell.source).tree
            try:
                if tree is not None:
                    self._read(cell.number, tree)
            except RecursionError:
                self.too_deep.append(cell.number)
        self.models = {c.receiver for c in self.calls if c.name in _MODEL_CALLS and c.receiver}
        # Scalers and generators have a `fit` too, which trains no model.
        models = {call.receiver for call in self.named("compile", "evaluate", "summary")}
        fits = self.named(*_FITS)
        self.fits = [f for f in fits if f.receiver in models or f.argument(*_FIT_OPTIONS)]

    def last_binding(self, name: str, here: Place) -> Binding | None:
        """Where a name got the value that it has at a place."""
        bound = self.bindings.get(name, [])
        earlier = bisect.bisect_left(bound, here.order, key=lambda item: item[0].order)
        near = bound[max(0, earlier - _LOOK_BACK) : earlier]
        return next((b for b in reversed(near) if here.sees(b[0])), None)

    def next_binding(self, name: str, here: Place) -> Place | None:
        """Where a name gets another value after a place; None where either is in a function."""
        bound = self.bindings.get(name, []) if not here.functions else []
        return next((p for p, _ in bound if p.order > here.order and not p.functions), None)

    def model_at(self, name: str, here: Place) -> tuple[str, int]:
        """What identifies the model of a name at a place: its first name, and its order if seen."""
        bound = None
        for _ in range(_MOST_TARGETS):
            bound = self.last_binding(name, here)
            if bound is None or not isinstance(bound[1], ast.Name):
                break
            name, here = bound[1].id, bound[0]
        return name, bound[0].order if bound and bound[1] is not None else 0

    def named(self, *names: str) -> list[Call]:
        """The calls of these functions or methods."""
        return [call for call in self.calls if call.name in names]

    def origins(self, value: ast.expr, here: Place) -> Iterator[tuple[ast.expr, Place]]:
        """An expression and its place, then those that its names were last assigned from, etc."""
        seen: set[str] = set()
        waiting = [(value, here)]
        left = _MOST_NAMES
        for _ in range(_MOST_ORIGINS):
            if not waiting:
                return
            expression, place = waiting.pop(0)
            yield expression, place
            names = dotted_names(expression)[:left]
            left -= len(names)
            for name in names:
                bound = None if name in seen else self.last_binding(name, place)
                if bound is not None and bound[1] is not None:
                    seen.add(name)
                    waiting.append((bound[1], bound[0]))

    def images(self, call: Call) -> Labels:
        """The labels of the images that a call of `fit` or `evaluate` gets."""
        first = call.call.args[0] if call.call.args else call.argument("x", "generator")
        return self.labels_of([first] if first is not None else [], call)

    def labels_of(self, values: Iterable[ast.AST], here: Place, depth: int = 0) -> Labels:
        """The labels of the images that expressions hold at a place."""
        found: set[str] = set()
        waiting = list(values)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Name):
                found |= self._labels_of_name(node.id, here, depth)
            elif isinstance(node, ast.Attribute):
                waiting += [] if node.attr in _NO_IMAGES_OF else [node.value]
            elif isinstance(node, ast.Call):
                found |= self._labels_of_call(node, here, depth)
            elif isinstance(node, ast.Subscript):
                first = next(iter(getattr(node.slice, "elts", [])), node.slice)
                cut = isinstance(first, ast.Slice) and (first.lower or first.upper)
                picked = isinstance(first, (ast.Name, ast.Call))
                labels = self.labels_of([node.value], here, depth)
                found |= labels | {"part"} if labels and (cut or picked) else labels
            elif not isinstance(node, (ast.Constant, ast.Lambda)):
                waiting += ast.iter_child_nodes(node)
        return frozenset(found)

    def _labels_of_name(self, name: str, here: Place, depth: int) -> Labels:
        wording = frozenset(word for word in ("train", "test") if word in name.lower())
        bound = self.last_binding(name, here)
        if bound is None or bound[1] is None or depth > _DEEPEST:
            return wording
        key, value = (name, bound[0].order), bound[1]
        if key not in self._labels:
            self._labels[key] = wording  # for a name that comes from itself
            labels = self.labels_of([value], bound[0], depth + 1)
            if {"train", "test"} <= labels and wording and not called_names(value) & _JOINS:
                labels = wording | {
                    "part"
                }  # all images, cut into two: the names say which is which
            of_images = isinstance(value, ast.Subscript) or (
                isinstance(value, ast.Call) and call_name(value) not in _NO_IMAGES
            )
            self._labels[key] = labels or (wording if of_images else NOTHING)
        return self._labels[key]

    def _labels_of_call(self, node: ast.Call, here: Place, depth: int) -> Labels:
        name = call_name(node)
        if name in _NO_IMAGES:
            return NOTHING
        for option in node.keywords:  # torchvision.datasets.MNIST(train=False)
            if option.arg == "train" and isinstance(option.value, ast.Constant):
                return frozenset({"train" if option.value.value else "test"})
        receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
        of_module = dotted(receiver).split(".")[0] in _MODULES
        values = [*node.args, *(option.value for option in node.keywords)]
        values += [receiver] if receiver is not None and not of_module else []
        labels = self.labels_of(values, here, depth)
        if name in _SPLITS and labels:
            return labels | {"part"}
        if not labels or _along_channels(node, of_module):
            return labels
        if name in ("repeat", "tile"):
            return labels | {"multiplied" if of_module or node.args[1:] else "repeated"}
        if name in _JOINS:
            listed = [a.elts for a in node.args if isinstance(a, (ast.List, ast.Tuple))]
            parts = [part for parts in listed for part in parts] or node.args
            each = [self.labels_of([part], here, depth) for part in parts]
            whole = any("train" in own and "part" not in own for own in each)  # no pieces joined
            return labels - {"part"} | ({"multiplied"} if whole and len(each) > 1 else NOTHING)
        return labels

    def _read(self, number: int, tree: ast.Module) -> None:
        for place in self._places(number, tree):
            node, inside = place.node, replace(place, around=(*place.around, place.node))
            if isinstance(node, ast.Call):
                receiver = node.func.value if isinstance(node.func, ast.Attribute) else None
                parts = (place.cell, node, place.order, place.around)
                self.calls.append(Call(*parts, node, call_name(node), dotted(receiver)))
                self.prints += [(place, arg) for arg in node.args if call_name(node) == "print"]
            elif isinstance(node, _ASSIGNMENTS) and not isinstance(node, ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets[:_MOST_TARGETS]:
                    self._bind(place, target, node.value)
            elif isinstance(node, ast.For):
                self._bind(inside, node.target, None)
            elif isinstance(node, ast.comprehension):
                self._bind(place, node.target, None)
            elif isinstance(node, (ast.FunctionDef, ast.Lambda)):
                for argument in ast.walk(node.args):
                    if isinstance(argument, ast.arg):
                        self._bind(inside, ast.Name(argument.arg), None)
                self.functions |= {node.name} if isinstance(node, ast.FunctionDef) else set()
            elif isinstance(node, ast.ClassDef):
                self.classes.append(place)
        if tree.body and isinstance(tree.body[-1], ast.Expr):
            self.prints.append((Place(number, tree.body[-1], self._order), tree.body[-1].value))

    def _places(self, number: int, tree: ast.Module) -> Iterator[Place]:
        """The nodes in the order of the text; an assignment comes after what it assigns."""
        waiting: list[tuple[ast.AST, tuple[ast.AST, ...], bool]] = [(tree, (), False)]
        while waiting:
            node, around, ready = waiting.pop()
            late = isinstance(node, _ASSIGNMENTS)
            if late and not ready:
                waiting.append((node, around, True))
            else:
                self._order += 1
                yield Place(number, node, self._order, around)
            if not ready:
                inner = (*around, node) if isinstance(node, _SCOPES) else around
                children = reversed(list(ast.iter_child_nodes(node)))
                waiting += [(child, inner, False) for child in children]

    def _bind(self, place: Place, target: ast.expr, value: ast.expr | None) -> None:
        parts = target.elts if isinstance(target, (ast.Tuple, ast.List)) else [target]
        values = [value] * len(parts)
        bound = self.last_binding(value.id, place) if isinstance(value, ast.Name) else None
        source = bound[1] if bound else value
        if isinstance(value, (ast.Tuple, ast.List)) and len(value.elts) == len(parts) > 1:
            values = list(value.elts)
        elif isinstance(source, ast.Call) and call_name(source) in _LOADERS and len(parts) == 2:
            values = [ast.Name("train"), ast.Name("test")]
        for part, own in zip(parts, values, strict=True):
            if isinstance(part, (ast.Tuple, ast.List)):
                for inner in part.elts:
                    self._bind(place, inner, own)
            elif dotted(part):
                self.bindings.setdefault(dotted(part), []).append((place, own))


def _along_channels(node: ast.Call, of_module: bool) -> bool:
    """Whether images are joined or repeated along an axis other than the first."""
    places = {"concatenate": 1, "concat": 1, "repeat": 2, "append": 2}
    place = places.get(call_name(node), len(node.args)) - (not of_module)
    positional = node.args[place] if 0 < place < len(node.args) else None
    if call_name(node) == "tile" and len(node.args) > 1:
        counts = getattr(node.args[1], "elts", [])
        return bool(counts) and isinstance(counts[0], ast.Constant) and counts[0].value == 1
    axis = next((option.value for option in node.keywords if option.arg == "axis"), positional)
    return isinstance(axis, ast.UnaryOp) or (isinstance(axis, ast.Constant) and axis.value != 0)
