"""The part of Jinja that chat templates are made of: texts, output, if, for and set. Nothing in it can run code.

What goes beyond it (macros, namespaces, filters such as tojson) is refused, a filter or test where it is reached: such
a template is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from sg_core.text.jinja_expressions import LONGEST, Expression, Scope, UnknownError, parse

MOST_STEPS = 20_000  # of rendering

_TAG = re.compile(r"\{\{(-?)(.*?)(-?)\}\}|\{%([-+]?)(.*?)([-+]?)%\}|\{#.*?#\}", re.S)
_STEPS = " steps"  # no name in a template has a blank
Node = Callable[[Scope, list[str]], None]


def render(template: str, values: Mapping[str, Any]) -> str:
    """The text of a template. Raises UnknownError."""
    if len(template) > LONGEST:
        raise UnknownError("it is too long")
    try:
        nodes, end = _Parser(template).block()
        if end:
            raise UnknownError(end)
        out: list[str] = []
        _run(nodes, {**values, _STEPS: [0]}, out)
    except (TypeError, LookupError, AttributeError, ValueError, ArithmeticError, RecursionError) as problem:
        raise UnknownError(type(problem).__name__) from problem
    return "".join(out)


def _run(nodes: Sequence[Node], scope: Scope, out: list[str]) -> None:
    for node in nodes:
        scope[_STEPS][0] += 1
        if scope[_STEPS][0] > MOST_STEPS:
            raise UnknownError("it goes on and on")
        node(scope, out)


class _Parser:
    """Text and tags -> nodes, with Jinja's trim_blocks and lstrip_blocks, as transformers sets them."""

    def __init__(self, template: str) -> None:
        self._tags = self._split(template)

    def _split(self, template: str) -> Iterator[tuple[str, str]]:
        """("text" | "output" | "tag", its content), one after another."""
        start, strip = 0, ""
        for match in _TAG.finditer(template):
            text = template[start : match.start()]
            is_output, is_tag = match[2] is not None, match[5] is not None
            line = text.rfind("\n") + 1
            if not is_output and match[4] != "+" and (line or start == 0) and not text[line:].strip(" \t"):
                text = text[:line]
            text = _stripped(text, strip)
            _require_no_tag(text)
            yield "text", text.rstrip() if "-" in (match[1], match[4]) else text
            if is_output or is_tag:
                yield ("output", match[2]) if is_output else ("tag", match[5].strip())
            strip = "-" if match[3] == "-" or match[6] == "-" else "" if is_output or match[6] == "+" else "\n"
            start = match.end()
        _require_no_tag(template[start:])
        yield "text", _stripped(template[start:], strip)

    def block(self, *ends: str) -> tuple[list[Node], str]:
        """Nodes up to a tag that begins with one of the words, and that tag."""
        nodes: list[Node] = []
        for kind, content in self._tags:
            if kind == "text":
                nodes.append(_text(content))
            elif kind == "output":
                nodes.append(_output(parse(content)))
            elif content.split(None, 1)[0] in ends:
                return nodes, content
            else:
                nodes.append(self._statement(content))
        return nodes, ""

    def _statement(self, tag: str) -> Node:
        word, _, rest = tag.partition(" ")
        if word == "if":
            return self._if(rest)
        if word == "for" and (match := re.fullmatch(r"\s*(\w+)\s+in\s+(.*)", rest, re.S)):
            nodes, end = self.block("endfor")
            if not end:
                raise UnknownError("for without endfor")
            return _for(match[1], parse(match[2]), nodes)
        if word == "generation":  # marks what a training learns
            nodes, end = self.block("endgeneration")
            if not end:
                raise UnknownError("generation without endgeneration")
            return lambda scope, out: _run(nodes, scope, out)
        if word == "set" and (match := re.fullmatch(r"\s*(\w+)\s*=(?!=)(.*)", rest, re.S)):
            return _set(match[1], parse(match[2]))
        raise UnknownError(word)

    def _if(self, condition: str) -> Node:
        branches: list[tuple[Expression, list[Node]]] = []
        tag = f"if {condition}"
        while tag.startswith(("if", "elif")):
            asked = parse(tag.partition(" ")[2])
            nodes, tag = self.block("elif", "else", "endif")
            branches.append((asked, nodes))
        if tag == "else":
            nodes, tag = self.block("endif")
            branches.append((lambda scope: True, nodes))
        if tag != "endif":
            raise UnknownError("if without endif")

        def run(scope: Scope, out: list[str]) -> None:
            for asked, nodes in branches:
                if asked(scope):
                    _run(nodes, scope, out)
                    break

        return run


def _require_no_tag(text: str) -> None:
    if "{%" in text or "{{" in text or "{#" in text:
        raise UnknownError("a tag is not closed")


def _stripped(text: str, strip: str) -> str:
    return text.lstrip() if strip == "-" else text.removeprefix(strip)


def _text(text: str) -> Node:
    return lambda scope, out: out.append(text)


def _output(expression: Expression) -> Node:
    def run(scope: Scope, out: list[str]) -> None:
        value = expression(scope)
        out.append("" if value is None else str(value))

    return run


def _set(name: str, expression: Expression) -> Node:
    def run(scope: Scope, out: list[str]) -> None:
        scope[name] = expression(scope)

    return run


def _for(name: str, expression: Expression, nodes: Sequence[Node]) -> Node:
    def run(scope: Scope, out: list[str]) -> None:
        items = list(expression(scope))
        for index, item in enumerate(items):
            loop = {"index0": index, "index": index + 1, "first": index == 0, "last": index == len(items) - 1}
            _run(nodes, {**scope, name: item, "loop": loop}, out)

    return run
