"""Read a notebook that somebody else wrote, and its cells' source: nothing of it is run."""

import ast
import io
import json
import re
import sys
import textwrap
import tokenize
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

MAX_BYTES = 50 * 2**20  # of a file; a notebook with its figures has one or two MB
MAX_CODE = 500_000  # characters in all cells; a long notebook has fifty thousand
MAX_OUTPUT = 200_000  # characters kept of one output: half from its beginning, half from its end
_ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
MAX_SOURCE = 100_000  # characters of a cell that are analyzed
# Of a comment: words, the course's own ones, what is commented out, no word.
_WORTH = ("real", "template", "code", "empty")
_PYTHON_MAGICS = {"capture", "prun", "py", "pypy", "python", "python3", "time", "timeit"}
_PROGRAM_MAGICS = {"bash", "file", "perl", "ruby", "script", "sh", "writefile"}
_LIBRARIES = {"cv2", "keras", "matplotlib", "np", "numpy", "pandas", "PIL", "plt", "pylab", "scipy",
              "skimage", "sklearn", "tensorflow", "tf", "torch", "torchvision", "vis",
              *sys.stdlib_module_names}  # fmt: skip
# Comments and titles of the course's own notebook: they are not the student's.
_TEMPLATE = {
    "convert 1-dimensional class arrays to 10-dimensional class matrices", "convert to rgb array",
    "this function returns the loss and grads given the input picture", "clip to [0, 1]",
    "compute the gradient of the input picture wrt this loss", "run gradient ascent for 20 steps",
    "load pre-shuffled mnist data into train and test sets", "step size for gradient ascent",
    "util function to convert a tensor into a valid image", "import libraries and modules",
    "build a loss function that maximizes the activation",
    "normalize tensor: center on 0., ensure std is 0.1",
    "normalization trick: we normalize the gradient", "of the nth filter of the layer considered",
}  # fmt: skip
_MAGIC = re.compile(r"%{1,2}[A-Za-z]|[!?]")  # a line of `% score[1])` goes on with the one above
_LINK = re.compile(r"\bhttps?://\S+")
# "# !pip install keras" is a command, "# !important: 28x28 images" is not.
_COMMAND = re.compile(
    r"!\s?(?:pip|apt|conda|curl|wget|git|ls|cd|cp|mv|mkdir|unzip|tar|python|nvidia)\d?\b|"
    r"%{1,2}[A-Za-z_]|(?:python\d? -m )?(?:pip\d?|conda|apt(?:-get)?) (?:un)?install\b"
)
_DIRECTIVE = re.compile(
    r"!/|-\*-|coding[:=]|noqa|type: ?ignore|pylint|fmt:|ruff:|@param|In ?\[|Out ?\["
)
_CODE = (ast.Call, ast.Assign, ast.AugAssign, ast.ImportFrom, ast.FunctionDef, ast.ClassDef,
         ast.For, ast.While, ast.With)  # fmt: skip


class Output(NamedTuple):
    kind: str  # "stdout", "stderr", "result" (of `display` or as a last value) or "error"
    text: str  # without color codes; each drawing of a progress bar is a line


@dataclass(frozen=True)
class Cell:
    number: int  # its place among the code cells, from 1
    source: str
    count: int | None = None  # as stored; 0 is what Colab writes where it kept none
    outputs: tuple[Output, ...] = ()
    tags: tuple[str, ...] = ()
    before: str = ""  # the text cells between this code cell and the one before it

    def text(self, *kinds: str) -> str:
        kinds = kinds or ("stdout", "stderr", "result")
        return "\n".join(output.text for output in self.outputs if output.kind in kinds)


@dataclass(frozen=True)
class Submission:
    path: Path
    cells: tuple[Cell, ...]  # of code, in their order
    after: str = ""  # the text cells after the last of them

    @property
    def written(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.source.strip()]


def read_file(path: str | Path) -> Submission:
    """Read a notebook; ValueError where it is none or too large, OSError where it is closed."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"expected a notebook, found no file at {printable(str(path), 400)}")
    name = printable(path.name)
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"expected {name} to have at most {MAX_BYTES >> 20} MB, it has more")
    try:
        *cells, last = _code_cells(json.loads(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        reason = f"expected {name} to be a notebook, which is JSON: {printable(str(error))}"
        raise ValueError(reason) from None
    if sum(len(cell.source) for cell in cells) > MAX_CODE:
        raise ValueError(f"expected {name} to have at most {MAX_CODE:,} characters of code")
    return Submission(path, tuple(cells), last.before)


def printable(text: str, length: int = 100) -> str:
    """Make a stranger's text safe for a terminal: one line, no control codes, at most `length`."""
    text = " ".join(_ESCAPE_SEQUENCE.sub("", text[: 20 * length]).split())
    text = "".join(letter if letter.isprintable() else "?" for letter in text)
    return text if len(text) <= length else text[: length - 1] + "…"


def read_output(content: Any) -> Output | None:
    content = _of(dict, content)
    kind = content.get("output_type")
    if kind == "stream":
        name = "stderr" if content.get("name") == "stderr" else "stdout"
        return Output(name, _clean(content.get("text")))
    if kind == "error":
        name, value = printable(str(content.get("ename") or "error"), 60), content.get("evalue")
        return Output("error", f"{name}: {_clean(value)}")
    if kind in ("execute_result", "display_data"):
        return Output("result", _clean(_of(dict, content.get("data")).get("text/plain")))
    return None


def _code_cells(content: Any) -> Iterator[Cell]:
    """The code cells, then one more that holds the text after the last of them."""
    items = _of(dict, content).get("cells")
    if not isinstance(items, list):
        raise ValueError("it has no list of cells")
    number, texts = 1, list[str]()
    for place, item in enumerate((_of(dict, item) for item in items), start=1):
        kind, source, count = (item.get(k) for k in ("cell_type", "source", "execution_count"))
        source = _joined(source)
        if not isinstance(kind, str) or source is None:
            raise ValueError(f"item {place} is no cell")
        if kind == "code":
            count = max(0, count) if type(count) is int else None
            outputs = tuple(filter(None, map(read_output, _of(list, item.get("outputs")))))
            tags = tuple(map(str, _of(list, _of(dict, item.get("metadata")).get("tags"))))
            source = source.replace("\r\n", "\n")
            yield Cell(number, source, count, outputs, tags, "\n".join(texts))
            number, texts = number + 1, []
        elif kind == "markdown":
            texts.append(source)
    yield Cell(number, "", before="\n".join(texts))


def _of(kind: type, value: Any) -> Any:
    return value if isinstance(value, kind) else kind()


def _joined(text: Any) -> str | None:
    whole = isinstance(text, list) and all(isinstance(line, str) for line in text)
    return "".join(text) if whole else text if isinstance(text, str) else None


def _clean(text: Any) -> str:
    text = _joined(text) or ""
    if len(text) > MAX_OUTPUT:
        text = f"{text[: MAX_OUTPUT // 2]}\n{text[-MAX_OUTPUT // 2 :]}"
    return re.sub(r"[\r\b]+", "\n", _ESCAPE_SEQUENCE.sub("", text))


class Parsed(NamedTuple):
    text: str  # without magics
    tree: ast.Module | None = None
    note: str | None = None  # what kept it from being read as Python 3
    is_python: bool = True  # False where a cell magic hands it to another language


@lru_cache(maxsize=1024)
def parse(source: str) -> Parsed:
    """Read a cell's source as Python 3; `pass` stands for IPython's magics, so that lines stay."""
    if len(source) > MAX_SOURCE:
        return Parsed("", note=f"has more than {MAX_SOURCE:,} characters")
    lines = source.split("\n")
    first = next((line for line in lines if line.strip()), "")
    indent = first[: len(first) - len(first.lstrip())]  # IPython takes it from all lines
    source = "\n".join(line.removeprefix(indent) for line in lines)
    if magic := re.match(r"\s*%%\s*(\w*).*\n?", source):
        if magic[1] not in _PYTHON_MAGICS:
            note = "hands its text to another program" if magic[1] in _PROGRAM_MAGICS else None
            return Parsed(source, None, note, is_python=False)
        source = "\n" + source[magic.end() :]
    blanked = "\n".join(_without_magics(source.split("\n")))
    for text in (source, blanked, textwrap.dedent(blanked)):
        if tree := _tree(text):
            level: list[ast.AST] = [tree]
            for _ in range(200):  # written by hand it has twenty
                level = [child for node in level for child in ast.iter_child_nodes(node)]
            return Parsed(text, note="is nested too deeply") if level else Parsed(text, tree)
    return Parsed(blanked, note="is not valid Python 3")


def comment_kind(source: str) -> str:
    """What comments are worth: "real" says something, "string" is a text in quotes; or "none"."""
    kinds = {_kind(block) for block in _comments(source)}
    for node in ast.walk(tree) if (tree := parse(source).tree) else ():
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            says = _says_something(ast.get_docstring(node) or "")
            kinds |= {"string" if node is tree else "real"} if says else set()
    return next((kind for kind in (*_WORTH, "string") if kind in kinds), "none")


def explains(text: str) -> bool:
    lines = (re.sub(r"<[^<>\n]{0,300}>|[#*_`>]", "", line).strip() for line in text.split("\n"))
    return any(_says_something(line) and line.lower() not in _TEMPLATE for line in lines)


def _comments(source: str) -> list[list[str]]:
    parsed = parse(source)
    if not parsed.is_python:
        # In another language: a line that begins as comments do in shells, JavaScript or HTML.
        return [[x] for x in re.findall(r"(?m)^[ \t]*(?:#|//|<!--)([^\n]*)$", parsed.text)]
    # Comments after a command of the shell: `!pip install keras  # why`.
    after = re.findall(r"(?m)^[ \t]*![^\n#'\"]*[ \t]#([^\n]*)$", source[:MAX_SOURCE])
    blocks, found = [[text] for text in after], []
    try:
        for token in tokenize.generate_tokens(io.StringIO(parsed.text).readline):
            if token.type == tokenize.COMMENT:
                alone = not token.line[: token.start[1]].strip()
                found.append((token.start[0], token.string, alone))
    except (tokenize.TokenError, SyntaxError):
        lines = enumerate(parsed.text.split("\n"), start=1)
        found += [(n, line, True) for n, line in lines if line.lstrip(" \t").startswith("#")]
    last = -1
    for line, text, alone in found:
        blocks += [] if alone and line == last + 1 else [[]]
        blocks[-1].append(re.sub(r"^[\s#]*#", "", text))
        last = line if alone else -1
    return blocks


def _kind(block: Sequence[str]) -> str:
    lines = [re.sub(r"^\s*@(?:title|markdown)\b", "", line) for line in block]
    kinds = {"empty"}
    start = 0
    while start < len(lines):
        line, end = lines[start].strip(), start + 1
        link_alone = _LINK.search(line) and not _says_something(line)
        if link_alone or line.lower().rstrip(".") in _TEMPLATE:
            kinds.add("template")  # the course has a link to keras.io
        elif _COMMAND.match(line):
            kinds.add("code")
        elif _says_something(line) and not _DIRECTIVE.match(line):
            ends = range(end, min(start + 12, len(lines)) + 1)
            end = next((end for end in ends if _is_code(lines[start:end])), 0)
            if not end:
                return "real"
            kinds.add("code")
        start = end
    return next(kind for kind in _WORTH if kind in kinds)


def _says_something(text: str) -> bool:
    # "# CNN" says something, "# --" and "# 26" do not.
    return sum(letter.isalpha() for letter in _LINK.sub("", text)) >= 3


def _is_code(lines: Sequence[str]) -> bool:
    tree = _tree(textwrap.dedent("\n".join(lines)).strip())
    for node in ast.walk(tree) if tree else ():
        imported = node.names if isinstance(node, ast.Import) else []
        # "import libraries" is a comment in words; "import numpy as np" is not.
        known = any(part.asname or part.name.split(".")[0] in _LIBRARIES for part in imported)
        noted = isinstance(node, ast.AnnAssign) and node.value is not None
        if known or noted or isinstance(node, _CODE):
            return True
    return False


def _tree(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes in strings that Python does not know
            return ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _without_magics(lines: Sequence[str]) -> Iterator[str]:
    goes_on = False
    for line in lines:
        content, indent = line.strip(), line[: len(line) - len(line.lstrip())]
        assigned = re.match(r"([\w., ]{1,80}?) {0,4}= {0,4}[!%]", content)
        is_magic = bool(_MAGIC.match(content) or re.fullmatch(r"[\w.]+\?\??", content))
        taken = f"{indent}{assigned[1]} = None" if assigned else line
        yield "" if goes_on else f"{indent}pass" if is_magic else taken
        goes_on = (goes_on or is_magic or bool(assigned)) and content.endswith("\\")


def call_name(node: ast.Call) -> str:
    return str(getattr(node.func, "attr", getattr(node.func, "id", "")))


@lru_cache(maxsize=4096)
def calls_in(expression: ast.AST) -> tuple[ast.Call, ...]:
    return tuple(node for node in ast.walk(expression) if isinstance(node, ast.Call))


def called(expression: ast.AST) -> frozenset[str]:
    return frozenset(map(call_name, calls_in(expression)))


@lru_cache(maxsize=4096)
def names_in(expression: ast.AST) -> tuple[str, ...]:
    """The names in an expression, and those with attributes, as `self.model`."""
    return tuple(dict.fromkeys(filter(None, map(dotted, ast.walk(expression)))))


def dotted(node: ast.AST | None) -> str:
    """A name with its attributes, as `self.model`; empty for any other expression."""
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else ""
