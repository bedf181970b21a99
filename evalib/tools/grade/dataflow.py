"""Where the images and the models of a notebook come from and go, read from its source."""

import ast
import bisect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import count, takewhile
from typing import Any

from evalib.tools.grade.read import Cell, call_name, called, dotted, names_in, parse

# "train" and "test" for images of `load_data()` and all that is made from them, "part" for a piece.
# Where a name's origin is not seen, its own wording decides.
Labels = frozenset[str]
Nodes = tuple[ast.AST, ...]
Binding = tuple["Place", ast.expr | None]  # where a name gets a value, and from what if it is seen
_LOADERS = {"load_data", "load_mnist"}
_JOINS = {"concatenate", "concat", "vstack", "append"}
_SPLITS = {"train_test_split", "random_split", "Subset"}
_MODULES = {"np", "numpy", "tf", "keras", "ops", "K", "jnp", "torch"}
# What these give are numbers about the images, or predictions: no images any more.
_NO_IMAGES = {"len", "range", "print", "type", "mean", "std", "var", "min", "max", "sum", "argmax",
              "shape", "fit", "fit_generator", "evaluate", "evaluate_generator", "predict",
              "predict_classes", "predict_generator", "unique", "bincount", "dtype", "size",
              "ndim"}  # fmt: skip
_FIT_OPTIONS = ("epochs", "nb_epoch", "batch_size", "validation_data", "validation_split",
                "steps_per_epoch", "samples_per_epoch", "callbacks")  # fmt: skip
_FITS = ("fit", "fit_generator", "train_on_batch")
_MODEL_CALLS = {*_FITS, "evaluate", "evaluate_generator", "compile", "summary", "count_params"}
_LOOPS = (ast.For, ast.While, ast.AsyncFor, ast.ListComp, ast.SetComp, ast.DictComp,
          ast.GeneratorExp)  # fmt: skip
_SCOPES = (*_LOOPS, ast.FunctionDef, ast.Lambda, ast.ClassDef)
_ASSIGNMENTS = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.NamedExpr)
# Bounds that no notebook written by hand comes near: how far back assignments to a name are looked
# at, how many expressions and names a value comes from, targets of `a = b = ...`, names to images.
_LOOK_BACK, _MOST_ORIGINS, _MOST_NAMES, _MOST_TARGETS, _DEEPEST = 50, 50, 400, 10, 40


@dataclass(frozen=True)
class Place:
    cell: int  # its number
    node: ast.AST
    order: int  # its place among all nodes
    around: Nodes = ()  # loops, functions and classes, the outermost first

    @property
    def loops(self) -> list[ast.AST]:
        """The loops around it; those around its function do not count."""
        return [*takewhile(lambda node: isinstance(node, _LOOPS), self.around[::-1])][::-1]

    @property
    def functions(self) -> list[ast.AST]:
        return [node for node in self.around if not isinstance(node, _LOOPS)]


@dataclass(frozen=True)
class Call(Place):
    node: ast.Call
    name: str = ""  # "fit" of `model.fit(...)`
    receiver: str = ""  # "model"

    def argument(self, *names: str) -> ast.expr | None:
        return next((o.value for name in names for o in self.node.keywords if o.arg == name), None)


class Flow:
    def __init__(self, cells: Iterable[Cell]) -> None:
        self.bindings: dict[str, list[Binding]] = {}  # of names, and attributes as `self.model`
        self.calls: list[Call] = []
        self.classes: list[Place] = []
        self.functions: set[str] = set()  # the names of those that are defined
        self.prints: list[tuple[Place, ast.expr]] = []  # printed arguments, and last values
        self._labels: dict[tuple[str, int], Labels] = {}
        self._order = count(1)
        for cell in cells:
            if tree := parse(cell.source).tree:
                self._read(cell.number, tree)
        self.models = {c.receiver for c in self.calls if c.name in _MODEL_CALLS and c.receiver}
        # Scalers and generators have a `fit` too, which trains no model.
        models = {call.receiver for call in self.named("compile", "evaluate", "summary")}
        fits = self.named(*_FITS)
        self.fits = [f for f in fits if f.receiver in models or f.argument(*_FIT_OPTIONS)]

    def last_binding(self, name: str, here: Place) -> Binding | None:
        bound, functions = self.bindings.get(name, []), here.functions
        earlier = bisect.bisect_left(bound, here.order, key=lambda item: item[0].order)
        near = reversed(bound[max(0, earlier - _LOOK_BACK) : earlier])
        return next((b for b in near if functions[: len(b[0].functions)] == b[0].functions), None)

    def next_binding(self, name: str, here: Place) -> Place | None:
        """Where a name gets another value later; None where either place is in a function."""
        bound = self.bindings.get(name, []) if not here.functions else []
        return next((p for p, _ in bound if p.order > here.order and not p.functions), None)

    def model_at(self, name: str, here: Place) -> tuple[str, int]:
        """What identifies the model of a name at a place: its first name, and its order if seen."""
        bound = self.last_binding(name, here)
        for _ in range(_MOST_TARGETS):
            if bound and isinstance(bound[1], ast.Name):
                name, bound = bound[1].id, self.last_binding(bound[1].id, bound[0])
        return name, bound[0].order if bound and bound[1] is not None else 0

    def named(self, *names: str) -> list[Call]:
        return [call for call in self.calls if call.name in names]

    def origins(self, value: ast.expr, here: Place) -> Iterator[tuple[ast.expr, Place]]:
        """An expression and its place, then those that its names were last assigned from, etc."""
        seen, found, left = set[str](), [(value, here)], _MOST_NAMES
        for expression, place in found:  # which grows
            yield expression, place
            names = names_in(expression)[:left]
            left -= len(names)
            for name in names if len(found) < _MOST_ORIGINS else ():
                bound = None if name in seen else self.last_binding(name, place)
                if bound is not None and bound[1] is not None:
                    seen.add(name)
                    found.append((bound[1], bound[0]))

    def images(self, call: Call) -> Labels:
        first = [*call.node.args, call.argument("x", "generator")][0]
        return self.labels_of(filter(None, [first]), call)

    def labels_of(self, values: Iterable[ast.AST], here: Place, depth: int = 0) -> Labels:
        found, waiting = set[str](), list(values)
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Name):
                found |= self._labels_of_name(node.id, here, depth)
            elif isinstance(node, ast.Call):
                found |= self._labels_of_call(node, here, depth)
            elif isinstance(node, ast.Attribute):
                waiting += [] if node.attr in _NO_IMAGES else [node.value]
            elif isinstance(node, ast.Subscript):
                first = [*getattr(node.slice, "elts", []), node.slice][0]
                cut = getattr(first, "lower", None) or getattr(first, "upper", None)
                labels = self.labels_of([node.value], here, depth)
                is_part = labels and (cut or isinstance(first, (ast.Name, ast.Call)))
                found |= labels | {"part"} if is_part else labels
            elif not isinstance(node, (ast.Constant, ast.Lambda)):
                waiting += ast.iter_child_nodes(node)
        return frozenset(found)

    def _labels_of_name(self, name: str, here: Place, depth: int) -> Labels:
        wording = frozenset(word for word in ("train", "test") if word in name.lower())
        place, value = self.last_binding(name, here) or (here, None)
        if value is None or depth > _DEEPEST:
            return wording
        if (key := (name, place.order)) not in self._labels:
            self._labels[key] = wording  # for a name that comes from itself
            labels = self.labels_of([value], place, depth + 1)
            if {"train", "test"} <= labels and wording and not called(value) & _JOINS:
                labels = wording | {"part"}  # all images, cut into two: the names say which
            self._labels[key] = labels or wording
        return self._labels[key]

    def _labels_of_call(self, node: ast.Call, here: Place, depth: int) -> Labels:
        name = call_name(node)
        if name in _NO_IMAGES:
            return frozenset()
        for option in node.keywords:  # torchvision.datasets.MNIST(train=False)
            if option.arg == "train" and isinstance(option.value, ast.Constant):
                return frozenset({"train" if option.value.value else "test"})
        receiver: ast.expr | None = getattr(node.func, "value", None)
        own = receiver if dotted(receiver).split(".")[0] not in _MODULES else None
        values = [*node.args, *(option.value for option in node.keywords), own]
        labels = self.labels_of(filter(None, values), here, depth)
        if name in _JOINS:
            return labels - {"part"}
        return labels | {"part"} if labels and name in _SPLITS else labels

    def _read(self, number: int, tree: ast.Module) -> None:
        for place in self._places(number, tree):
            node = place.node
            if isinstance(node, ast.Call):
                receiver = dotted(getattr(node.func, "value", None))
                parts = (number, node, place.order, place.around)
                self.calls.append(Call(*parts, call_name(node), receiver))
                self.prints += [(place, arg) for arg in node.args if call_name(node) == "print"]
            elif isinstance(node, ast.Assign):
                for target in node.targets[:_MOST_TARGETS]:
                    self._bind(place, target, node.value)
            elif isinstance(node, (ast.AnnAssign, ast.NamedExpr)):
                self._bind(place, node.target, node.value)
            elif isinstance(node, (ast.For, ast.comprehension)):
                around = (*place.around, node) if isinstance(node, ast.For) else place.around
                self._bind(replace(place, around=around), node.target, None)
            elif isinstance(node, ast.arg):
                self._bind(place, ast.Name(node.arg), None)
            elif isinstance(node, ast.FunctionDef):
                self.functions.add(node.name)
            elif isinstance(node, ast.ClassDef):
                self.classes.append(place)
        if tree.body and isinstance(last := tree.body[-1], ast.Expr):
            self.prints.append((Place(number, last, next(self._order)), last.value))

    def _places(self, number: int, node: ast.AST, around: Nodes = ()) -> Iterator[Place]:
        """The nodes in the order of the text; an assignment comes after what it assigns."""
        inner = (*around, node) if isinstance(node, _SCOPES) else around
        children = ast.iter_child_nodes(node)
        below = (place for child in children for place in self._places(number, child, inner))
        if isinstance(node, _ASSIGNMENTS):
            yield from below
        yield Place(number, node, next(self._order), around)
        yield from below

    def _bind(self, place: Place, target: ast.expr, value: ast.expr | None) -> None:
        if dotted(target):
            self.bindings.setdefault(dotted(target), []).append((place, value))
            return
        parts: list[ast.expr] = getattr(target, "elts", [])
        bound = self.last_binding(value.id, place) if isinstance(value, ast.Name) else None
        source = bound[1] if bound else value
        values: list[Any] = getattr(value, "elts", [])
        if isinstance(source, ast.Call) and call_name(source) in _LOADERS:
            values = [ast.Name("(train)"), ast.Name("(test)")]  # which nothing is bound to
        values = values if len(values) == len(parts) else [value] * len(parts)
        for part, own in zip(parts, values, strict=True):
            self._bind(place, part, own)
