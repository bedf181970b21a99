"""Figures of notebooks: the caption that follows becomes the image's alternative text.

A caption is a paragraph that begins with **Figure n.**, as every figure of the course has one.
Here it gets a class of its own for the style sheet, and an anchor `figure-n`. The image gets the
caption's first sentences as its alternative text, and leads to the image at its full size, which
is what a narrow screen needs. The badges "Open In Colab", images on another host, become words.
"""

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

from evalib.tools.colab import BADGE_IMAGE

LOGGER = logging.getLogger(__name__)
CAPTION = re.compile(r"Figure (\d+)\.")
LONGEST = 300  # characters; a screen reader says an alternative text in one go


class FigureCaptions(SphinxTransform):
    """Joins each figure of a notebook with its caption."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        for reference in list(self.document.findall(nodes.reference)):
            if any(image["uri"] == BADGE_IMAGE for image in reference.findall(nodes.image)):
                reference.children = []
                reference += nodes.inline("", "Open in Colab")
                reference["classes"].append("colab-link")
        waiting: list[nodes.image] = []
        for node in self.document.findall(is_output_or_caption):
            if isinstance(node, nodes.image):
                waiting.append(node)
            elif waiting:
                self.join(waiting.pop(0), node)
            else:
                LOGGER.warning("caption without a figure: %s", node.astext()[:60], location=node)
        for image in waiting:
            LOGGER.warning("figure without a caption", location=image)

    def join(self, image: nodes.image, caption: nodes.Element) -> None:
        number = CAPTION.match(caption.astext())[1]  # type: ignore[index]
        image["alt"] = alternative_text(caption)
        image["classes"].append("notebook-figure")
        caption["classes"].append("figure-caption")
        caption["ids"].append(f"figure-{number}")


def is_output_or_caption(node: nodes.Node) -> bool:
    """Tell whether a node is an image of a cell's output, or a figure's caption."""
    if isinstance(node, nodes.image):
        parent = node.parent
        while parent is not None and parent.get("nb_element") != "cell_code_output":
            parent = parent.parent
        return parent is not None
    if not isinstance(node, nodes.paragraph):
        return False
    first = next((child for child in node.children if child.astext()), None)
    return isinstance(first, nodes.strong) and CAPTION.fullmatch(first.astext()) is not None


def alternative_text(caption: nodes.Element) -> str:
    """Take a caption's first sentences, as many as fit, as plain words.

    Args:
        caption: The paragraph that begins with `Figure n.`

    Returns:
        `Figure n.` and at least one sentence.
    """
    text = "".join(plain(child) for child in caption.children)
    label, first, *others = re.split(r"(?<=[.!?;]) +", " ".join(text.split()))
    chosen = f"{label} {first}"
    for sentence in others:
        if len(chosen) + len(sentence) >= LONGEST:
            break
        chosen += f" {sentence}"
    return re.sub(";$", ".", chosen)


def plain(node: nodes.Node) -> str:
    """Write a node of running text without marks; formulas without their commands."""
    if isinstance(node, nodes.math):
        text = re.sub(r"\\(?:mathrm|operatorname)\b|\\[,;! ]|[{}]", "", node.astext())
        return text.replace("\\", "")
    return node.astext()


def visit_image(translator: HTML5Translator, node: nodes.image) -> None:
    linked = "notebook-figure" in node["classes"]
    mark = len(translator.body)
    HTML5Translator.visit_image(translator, node)
    if linked:
        translator.body.insert(mark, f'<a class="full-size" href="{node["uri"]}">')


def depart_image(translator: HTML5Translator, node: nodes.image) -> None:
    HTML5Translator.depart_image(translator, node)
    if "notebook-figure" in node["classes"]:
        translator.body.append("</a>\n")


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_transform(FigureCaptions)
    app.add_node(nodes.image, override=True, html=(visit_image, depart_image))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
