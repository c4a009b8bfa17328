"""The part of Jinja that chat templates are made of: texts, output, if, for and set. Nothing in it can run code.

What goes beyond it (macros, namespaces, filters other than trim) is refused: such a template is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

LONGEST = 1 << 16  # characters of a template
MOST_STEPS = 20_000  # of rendering

_TAG = re.compile(r"\{\{(-?)(.*?)(-?)\}\}|\{%([-+]?)(.*?)([-+]?)%\}|\{#.*?#\}", re.S)
_LEXEME = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>\d{1,9})|(?P<name>\w+)"""
    r"""|(?P<sign>==|!=|<=|>=|[-+~%()\[\].,|:<>=]))""",
    re.S,
)
_STEPS = " steps"  # no name in a template has a blank
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_KEYWORDS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}

Scope = dict[str, Any]
Expression = Callable[[Scope], Any]
Node = Callable[[Scope, list[str]], None]


class UnknownError(Exception):
    """A template that uses what is not known here."""


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


# ---------------------------------------------------------------- expressions


def parse(text: str) -> Expression:
    """An expression. Raises UnknownError."""
    lexemes: list[tuple[str, str]] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _LEXEME.match(text, place)
        if match is None or match.lastgroup is None:
            raise UnknownError(text[place : place + 20])
        lexemes.append((match.lastgroup, match[match.lastgroup]))
        place = match.end()
    reader = _Expressions(lexemes)
    expression = reader.either()
    if reader.rest():
        raise UnknownError("an expression goes on")
    return expression


class _Expressions:
    """Recursive descent, loosest first: or, and, not, comparison, sums, what follows a value."""

    def __init__(self, lexemes: list[tuple[str, str]]) -> None:
        self._lexemes = lexemes
        self._place = 0

    def rest(self) -> bool:
        return self._place < len(self._lexemes)

    def _next(self) -> tuple[str, str]:
        return self._lexemes[self._place] if self.rest() else ("", "")

    def _take(self, *wanted: str) -> str:
        kind, text = self._next()
        if kind in ("sign", "name") and text in wanted:
            self._place += 1
            return text
        return ""

    def _need(self, sign: str) -> None:
        if not self._take(sign):
            raise UnknownError(f"{sign} is missing")

    def either(self) -> Expression:
        left = self._both()
        while self._take("or"):
            left = _or(left, self._both())
        return left

    def _both(self) -> Expression:
        left = self._not()
        while self._take("and"):
            left = _and(left, self._not())
        return left

    def _not(self) -> Expression:
        if self._take("not"):
            inner = self._not()
            return lambda scope: not inner(scope)
        return self._comparison()

    def _comparison(self) -> Expression:
        left = self._sum()
        while sign := self._take("==", "!=", "<=", ">=", "<", ">", "in", "not", "is"):
            if sign == "is":
                left = self._test(left)
                continue
            if sign == "not":
                self._need("in")
            left = _binary(left, self._sum(), _COMPARISONS[sign])
        return left

    def _test(self, value: Expression) -> Expression:
        negated = bool(self._take("not"))
        kind = self._take("defined", "none", "string")
        tests: dict[str, Callable[[Any], bool]] = {
            "defined": lambda x: x is not None,
            "none": lambda x: x is None,
            "string": lambda x: isinstance(x, str),
        }
        if kind not in tests:
            raise UnknownError("is")
        return lambda scope: tests[kind](value(scope)) != negated

    def _sum(self) -> Expression:
        left = self._value()
        while sign := self._take("+", "~", "%", "-"):
            left = _binary(left, self._value(), _SUMS[sign])
        return left

    def _value(self) -> Expression:
        value = self._atom()
        while sign := self._take(".", "[", "|"):
            if sign == "[":
                value = self._item(value)
            else:
                kind, name = self._next()
                self._place += 1
                if kind != "name":
                    raise UnknownError(sign)
                called = bool(self._take("("))
                if called:
                    self._need(")")
                value = _trimmed(value, name) if sign == "|" or called else _item(value, _constant(name))
        return value

    def _item(self, value: Expression) -> Expression:
        key = self.either()
        if self._take(":"):
            self._need("]")
            return lambda scope: value(scope)[key(scope) :]
        self._need("]")
        return _item(value, key)

    def _atom(self) -> Expression:
        kind, text = self._next()
        self._place += 1
        if kind == "text":
            literal = re.sub(r"\\(.)", lambda match: _ESCAPES.get(match[1], match[1]), text[1:-1], flags=re.S)
            return _constant(literal)
        if kind == "number":
            return _constant(int(text))
        if text == "(" and kind == "sign":
            inner = self.either()
            self._need(")")
            return inner
        if kind != "name" or self._next()[1] == "(":
            return self._call(text)
        if text in _KEYWORDS:
            return _constant(_KEYWORDS[text])
        return lambda scope: scope.get(text)

    def _call(self, name: str) -> Expression:
        """raise_exception(TEXT): a conversation that the template refuses."""
        if name != "raise_exception":
            raise UnknownError(name)
        self._need("(")
        self.either()
        self._need(")")

        def refuse(scope: Scope) -> Any:
            raise UnknownError(name)

        return refuse


_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "in": lambda a, b: a in b,
    "not": lambda a, b: a not in b,
}
_SUMS: dict[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: _joined(a, b) if isinstance(a, str) and isinstance(b, str) else int(a) + int(b),
    "~": lambda a, b: _joined(str(a), str(b)),
    "%": lambda a, b: int(a) % int(b),
    "-": lambda a, b: int(a) - int(b),
}


def _joined(one: str, other: str) -> str:
    if len(one) + len(other) > LONGEST:
        raise UnknownError("its text is too long")
    return one + other


def _constant(value: Any) -> Expression:
    return lambda scope: value


def _or(left: Expression, right: Expression) -> Expression:
    return lambda scope: left(scope) or right(scope)


def _and(left: Expression, right: Expression) -> Expression:
    return lambda scope: left(scope) and right(scope)


def _binary(left: Expression, right: Expression, join: Callable[[Any, Any], Any]) -> Expression:
    return lambda scope: join(left(scope), right(scope))


def _item(value: Expression, key: Expression) -> Expression:
    def get(scope: Scope) -> Any:
        holder, name = value(scope), key(scope)
        return holder.get(name) if isinstance(holder, dict) else holder[name]

    return get


def _trimmed(value: Expression, name: str) -> Expression:
    if name not in ("trim", "strip", "length"):
        raise UnknownError(name)
    return lambda scope: len(value(scope)) if name == "length" else value(scope).strip()
