"""The expressions of chat templates: values, comparisons, a few filters. See `jinja`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

LONGEST = 1 << 16  # characters of a template, and of what an expression joins

_LEXEME = re.compile(
    r"""\s*(?:(?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")|(?P<number>\d{1,9})|(?P<name>\w+)"""
    r"""|(?P<sign>==|!=|<=|>=|[-+~%()\[\].,|:<>=]))""",
    re.S,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r"}
_KEYWORDS = {"true": True, "True": True, "false": False, "False": False, "none": None, "None": None}

Scope = dict[str, Any]
Expression = Callable[[Scope], Any]


class UnknownError(Exception):
    """A template that uses what is not known here."""


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
    expression = reader.choice()
    if reader.rest():
        raise UnknownError("an expression goes on")
    return expression


class _Expressions:
    """Recursive descent, loosest first: if-else, or, and, not, comparison, sums, what follows a value."""

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

    def choice(self) -> Expression:
        value = self.either()
        if not self._take("if"):
            return value
        asked = self.either()
        other = self.choice() if self._take("else") else _constant(None)
        return lambda scope: value(scope) if asked(scope) else other(scope)

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
        _, kind = self._next()
        self._place += 1
        tests: dict[str, Callable[[Any], bool]] = {
            "defined": lambda x: x is not None,
            "none": lambda x: x is None,
            "string": lambda x: isinstance(x, str),
        }
        if kind not in tests:
            return _refused(f"is {kind}")
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
                given = self._arguments() if self._take("(") else None
                if name == "get" and given:
                    value = _item(value, given[0])
                else:
                    is_filter = sign == "|" or given is not None
                    value = _filtered(value, name, bool(given)) if is_filter else _item(value, _constant(name))
        return value

    def _arguments(self) -> list[Expression]:
        """What stands between parentheses, the first of which is taken."""
        given: list[Expression] = []
        while not self._take(")"):
            if self._lexemes[self._place + 1 : self._place + 2] == [("sign", "=")]:  # the name of an argument
                self._place += 2
            given.append(self.choice())
            if not self._take(","):
                self._need(")")
                break
        return given

    def _item(self, value: Expression) -> Expression:
        key = self.choice()
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
            inner = self.choice()
            self._need(")")
            return inner
        if kind != "name":
            raise UnknownError(text)
        if self._take("("):  # raise_exception(TEXT), for a conversation that the template refuses, and all others
            self._arguments()
            return _refused(text)
        if text in _KEYWORDS:
            return _constant(_KEYWORDS[text])
        return lambda scope: scope.get(text)


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


_FILTERS: dict[str, Callable[[Any], Any]] = {
    "trim": lambda x: x.strip(),
    "strip": lambda x: x.strip(),
    "length": len,
    "upper": lambda x: x.upper(),
    "lower": lambda x: x.lower(),
    "title": lambda x: x.title(),
    "capitalize": lambda x: x.capitalize(),
}


def _filtered(value: Expression, name: str, has_arguments: bool) -> Expression:
    if name not in _FILTERS or has_arguments:
        return _refused(name)
    return lambda scope: _FILTERS[name](value(scope))


def _refused(what: str) -> Expression:
    def refuse(scope: Scope) -> Any:
        raise UnknownError(what)

    return refuse
