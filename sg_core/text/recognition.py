"""Which chat template a model was trained for: by its chat_template, its special tokens, or its vocabulary."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sg_core.text.byte_bpe import GPT2_MERGES, merges_digest
from sg_core.text.jinja import render
from sg_core.text.jinja_expressions import UnknownError
from sg_core.text.templates import BUILT_IN, CHATML, OWN, PLAY, QUESTION, TURNS, Conversation, Template

if TYPE_CHECKING:
    from sg_core.text.tokenizer import Tokenizer

_PERSON, _ANSWER, _AGAIN = "\x01person\x01", "\x01answer\x01", "\x01again\x01"
# special tokens that begin a turn of the person and of the model, and those that end one
_TAGS = (
    ("<|user|>", "<|assistant|>"), ("<|user|>", "<|bot|>"), ("<|human|>", "<|assistant|>"), ("<|human|>", "<|bot|>"),
    ("<|prompter|>", "<|assistant|>"), ("<user>", "<bot>"), ("<user>", "<assistant>"), ("<|USER|>", "<|ASSISTANT|>"),
    ("[USER]", "[BOT]"), ("[INST]", "[/INST]"),
)  # fmt: skip
_ENDS = ("<|end|>", "<|im_end|>", "<|eot|>", "<|eot_id|>", "<end>", "<|endofturn|>", "[END]")


def templates_for(tokenizer: Tokenizer | None, own: Iterable[Template] = ()) -> list[Template]:
    """Every template that can be chosen, the one this model was most likely trained for first. own: a person's own."""
    if tokenizer is None:
        return [PLAY]
    found = [template for template in (_of_chat_template(tokenizer), _of_tags(tokenizer)) if template is not None]
    if not found:
        found = [_usual(tokenizer)]
    own = list(own)
    names = {template.name for template in (*found, *own)}
    listed = [*found, *own, *(template for template in BUILT_IN if template.name not in names)]
    end = _end(tokenizer)
    filled = [template.filled({"{end}": end}) for template in listed]
    return [template for template in filled if template.name != TURNS.name or end]


def misread(tokenizer: Tokenizer | None) -> str:
    """One line for the person where a model's chat_template is not understood, "" where it is or where it has none."""
    if tokenizer is None or not tokenizer.chat_template or _of_chat_template(tokenizer) is not None:
        return ""
    used = templates_for(tokenizer)[0].name
    return f"the model's chat_template is of no form that is understood here; a chat uses the template {used!r} instead"


def _end(tokenizer: Tokenizer) -> str:
    ends = {id: token for token, id in tokenizer.vocabulary.items() if id in tokenizer.special_ids}
    return "" if tokenizer.end_of_text is None else ends.get(tokenizer.end_of_text, "")


def _usual(tokenizer: Tokenizer) -> Template:
    return QUESTION if merges_digest(tokenizer.merges) == GPT2_MERGES else PLAY


def _of_tags(tokenizer: Tokenizer) -> Template | None:
    """By special tokens whose names say what they are for."""
    marks = {token.content for token in tokenizer.added if token.special}
    if {"<|im_start|>", "<|im_end|>"} <= marks:
        return CHATML
    for person, model in _TAGS:
        if {person, model} <= marks:
            end = next((mark for mark in _ENDS if mark in marks), "{end}")
            return Template("tags", (person, ""), (model, end), stop=(end, person), whole=False)
    return None


def _of_chat_template(tokenizer: Tokenizer) -> Template | None:
    """What a chat_template makes of conversations, or None for one that is not of the simple forms."""
    source = tokenizer.chat_template
    if not source:
        return None
    names = {id: token for token, id in tokenizer.vocabulary.items()}
    values = {role: names[id] for role, id in tokenizer.roles.items() if id in names}

    def rendered(*contents: str, prompt: bool = False) -> str:
        roles = ("user", "assistant")
        messages = [{"role": roles[n % 2], "content": text} for n, text in enumerate(contents)]
        return render(source, {**values, "messages": messages, "add_generation_prompt": prompt})

    try:
        begin, between, tail = _around(rendered(_PERSON, _ANSWER), _PERSON, _ANSWER)
        _, _, again, _ = _around(rendered(_PERSON, _ANSWER, _AGAIN), _PERSON, _ANSWER, _AGAIN)
        _, closing = _around(rendered(_PERSON), _PERSON)
        _, opening = _around(rendered(_PERSON, prompt=True), _PERSON)
        after = _end_of_turn(begin, again, tail)
        turn = again.removeprefix(after)  # what begins a person's turn
        if opening == closing and between.removeprefix(closing).strip():
            opening = between  # the template has no cue for the model alone
        closing = next(text for text in (closing, after, "") if opening.startswith(text))
        marks = [token.content for token in tokenizer.added if token.special and token.content in after]
        first = min(marks, key=after.find, default="")
        stop = first or (f"\n{turn.strip()}" if turn.strip() else after)
        model = (opening.removeprefix(closing), after)
        own = Template(OWN, (turn, closing), model, begin.removesuffix(turn), (stop,) if stop else (), whole=False)
        blank = between.removeprefix(opening) if between.startswith(opening) else ""  # which the model itself writes
        for contents in ((_PERSON,), (_PERSON, _ANSWER, _AGAIN), (_PERSON, _ANSWER, _PERSON, _AGAIN, _PERSON)):
            if _told(own, contents, blank) != rendered(*contents, prompt=True):
                return None
    except UnknownError:
        return None
    alike = (known for known in BUILT_IN if known.filled({"{end}": _end(tokenizer)}).person == own.person)
    return next((replace(own, name=known.name) for known in alike if own.model[0] == known.model[0]), own)


def _end_of_turn(begin: str, again: str, tail: str) -> str:
    """What ends the model's turn, of all that stands between it and the words of a person."""
    if tail and again.startswith(tail) and begin.endswith(again.removeprefix(tail)):
        return tail
    return again.removesuffix(_common_end(begin, again))


def _told(template: Template, contents: Sequence[str], blank: str) -> str:
    """The text of a conversation. blank: what each answer begins with."""
    talk = Conversation(template)
    for number, content in enumerate(contents):
        if number % 2:
            talk.answer(blank + content)
        else:
            talk.say(content)
    return talk.text


def _common_end(one: str, other: str) -> str:
    length = 0
    while length < min(len(one), len(other)) and one[-1 - length] == other[-1 - length]:
        length += 1
    return one[len(one) - length :]


def _around(text: str, *contents: str) -> list[str]:
    """The strings around the contents, each of which must stand in the text once, in order. Raises UnknownError."""
    strings: list[str] = []
    for content in contents:
        before, found, text = text.partition(content)
        if not found or content in text:
            raise UnknownError("a turn is left out or told twice")
        strings.append(before)
    return [*strings, text]
