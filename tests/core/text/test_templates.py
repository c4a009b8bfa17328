"""Chat templates: those of models render as in transformers, are recognised, and only their marks are ids."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizer_folders import VOCABULARY, decoder_entry, write_files

from sg_core.errors import SettingError
from sg_core.text.byte_bpe import SYMBOLS
from sg_core.text.jinja import render
from sg_core.text.jinja_expressions import LONGEST, UnknownError
from sg_core.text.recognition import misread, templates_for
from sg_core.text.templates import BUILT_IN, PLAY, Conversation, Template, choose, read_own
from sg_core.text.text_stream import CUE
from sg_core.text.tokenizer import Tokenizer

GOLDEN = json.loads((Path(__file__).parents[2] / "reference" / "golden" / "chat_templates.json").read_text())
CASES: list[dict[str, Any]] = GOLDEN["cases"]
# the model itself writes the blank before its answer
BLANK_FIRST = ("user and a first sentence", "user, indented", "roles as names", "names with a capital", "inst")
OF_NO_FORM = "blanks and an end"  # turns told apart by where they stand, and an end after the last one alone
BEYOND = "with a namespace"  # the one template that uses what is not known here
MARKS = ["<|im_start|>", "<|im_end|>", "<|user|>", "<|assistant|>", "<|end|>", "<|system|>", "<s>", "</s>"]


def tokenizer_of(path: Path, *marks: str, **config: Any) -> Tokenizer:
    """With these special tokens, and what tokenizer_config.json says besides."""
    entries = {str(257 + n): decoder_entry(mark) for n, mark in enumerate(marks)}
    settings = {"added_tokens_decoder": entries, **config}
    return Tokenizer.from_folder(write_files(path / "m", vocab=VOCABULARY, merges=[], tokenizer_config=settings))


def talk(template: Template, *contents: str) -> str:
    """The prompt after a person's last words."""
    conversation = Conversation(template)
    for typed, answer in zip(contents[::2], (*contents[1::2], ""), strict=False):
        conversation.say(typed)
        prompt = conversation.prompt
        conversation.answer(answer)
    return prompt


# ---------------------------------------------------------------- what models' templates say


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['name']}, {len(case['contents'])}, {case['prompt']}")
def test_templates_render_as_in_transformers(case: dict[str, Any]) -> None:
    messages = [{"role": ("user", "assistant")[n % 2], "content": text} for n, text in enumerate(case["contents"])]
    values = {**GOLDEN["tokens"], "messages": messages, "add_generation_prompt": case["prompt"]}
    if case["name"] == BEYOND:
        with pytest.raises(UnknownError, match="namespace"):
            render(GOLDEN["templates"][case["name"]], values)
    else:
        assert render(GOLDEN["templates"][case["name"]], values) == case["text"]


def spoken(case: dict[str, Any]) -> bool:
    """Whether a conversation has come to the model's turn, in texts without blanks that a template may strip."""
    return len(case["contents"]) == 3 and case["prompt"] and case["name"] not in (BEYOND, OF_NO_FORM)


@pytest.mark.parametrize("case", [case for case in CASES if spoken(case)], ids=lambda case: case["name"])
def test_a_conversation_is_what_the_model_was_trained_on(tmp_path: Path, case: dict[str, Any]) -> None:
    source = GOLDEN["templates"][case["name"]]
    tokenizer = tokenizer_of(tmp_path, *MARKS, chat_template=source, **GOLDEN["tokens"])
    template = templates_for(tokenizer)[0]
    person, answer, again = case["contents"]
    blank = " " if case["name"] in BLANK_FIRST else ""
    said = talk(template, person, f"{blank}{answer}", again)
    if "add_generation_prompt" in source:
        assert said == case["text"]
    else:  # the template does not begin the model's turn; a conversation does, where there is a beginning
        assert said.startswith(case["text"])


@pytest.mark.parametrize(
    ("name", "stop"),
    [
        ("chatml", "<|im_end|>"),
        ("chatml, with first words", "<|im_end|>"),
        ("one or the other", "<|end|>"),
        ("turns", "</s>"),
        ("tags and an end tag", "<|end|>"),
        ("instruction", "</s>"),
        ("user, indented", "\nUser:"),
    ],
)
def test_a_turn_is_over_where_the_template_ends_it(tmp_path: Path, name: str, stop: str) -> None:
    source = GOLDEN["templates"][name]
    assert templates_for(tokenizer_of(tmp_path, *MARKS, chat_template=source, **GOLDEN["tokens"]))[0].stop == (stop,)


@pytest.mark.parametrize("place", ["chat_template.jinja", "chat_template.json", "tokenizer_config.json", "a list"])
def test_a_chat_template_is_found_wherever_it_stands(tmp_path: Path, place: str) -> None:
    source = GOLDEN["templates"]["chatml"]
    config: dict[str, Any] = {"chat_template": "{{ macro() }}"}
    files: dict[str, Any] = {"vocab": VOCABULARY, "merges": []}
    if place == "a list":
        config = {"chat_template": [{"name": "tool", "template": "x"}, {"name": "default", "template": source}]}
    elif place == "tokenizer_config.json":
        config = {"chat_template": source}
    elif place == "chat_template.json":
        files["chat_template"] = {"chat_template": source}
    folder = write_files(tmp_path / "m", **files, tokenizer_config=config)
    if place == "chat_template.jinja":
        (folder / place).write_text(source)
    assert Tokenizer.from_folder(folder).chat_template == source
    assert templates_for(Tokenizer.from_folder(folder))[0].name == "chatml"


NOT_KNOWN = [
    "{% for", "{{", "{% if x %}", "{% endif %}", "{% for m in messages %}", "{{ a b }}", "{{ lipsum() }}", "{{ 'a }}",
    "{{ messages.__class__ }}{{ messages[9] }}", "{{ x|map }}", "{% include 'x' %}", "{{ 1 % 0 }}", "{{ '%9d' % 1 }}",
    f"{{{{ {'(' * 30_000} }}}}", "{% for a in messages %}" * 40 + "x" + "{% endfor %}" * 40, "x" * (LONGEST + 1),
    "{{ raise_exception('no') }}", "{{ messages | tojson(indent=2) }}", "{{ 'a'.split(',') }}", "{{ 'a' is iterable }}",
    "{{ strftime_now('%d') }}", "{{ 'a' if }}", "{% generation %}", "{% set x = 'ab' %}" + "{% set x = x + x %}" * 60,
]  # fmt: skip


@pytest.mark.parametrize("template", NOT_KNOWN)
def test_what_is_not_known_is_refused(template: str) -> None:
    messages = [{"role": "user", "content": "x"}] * 3
    with pytest.raises(UnknownError):
        render(template, {"messages": messages})


PIECES = [
    "{% if ", "{% for m in ", "{% set x = ", "{% else %}", "{% endif %}", "{% endfor %}", " %}", "{{ ", " }}", "m",
    "messages", ".role", "['content']", " == ", "'user'", " + ", "(", ")", "not ", " and ", "|trim", "[0]", "\n",
    " if ", " else ", "{% generation %}", "{% endgeneration %}", ".get(", " is string", "|title",
    " text ", "loop.last", "1",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=25))
def test_any_template_is_rendered_or_refused(pieces: list[str]) -> None:
    with contextlib.suppress(UnknownError):
        render("".join(pieces), {"messages": [{"role": "user", "content": "x"}]})


# ---------------------------------------------------------------- recognised without one


def first(tokenizer: Tokenizer) -> str:
    return templates_for(tokenizer)[0].name


def test_a_model_without_a_template_is_known_by_its_tokens(tmp_path: Path) -> None:
    assert first(tokenizer_of(tmp_path, "<|im_start|>", "<|im_end|>")) == "chatml"
    tokenizer = tokenizer_of(tmp_path, "<|user|>", "<|assistant|>", "<|end|>")
    template = templates_for(tokenizer)[0]
    assert talk(template, "Hi", "Ok", "And?") == "<|user|>Hi<|assistant|>Ok<|end|><|user|>And?<|assistant|>"
    assert template.stop == ("<|end|>", "<|user|>")


def test_a_model_without_any_sign_plays(tmp_path: Path) -> None:
    assert first(Tokenizer(VOCABULARY, [])) == "play"
    assert templates_for(None) == [PLAY]


def test_gpt2_itself_answers_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = Tokenizer(VOCABULARY | {"ab": 257}, [("a", "b")])
    assert first(tokenizer) == "play"
    from sg_core.text import byte_bpe, recognition

    monkeypatch.setattr(recognition, "GPT2_MERGES", byte_bpe.merges_digest([("a", "b")]))
    template = templates_for(tokenizer)[0]
    assert talk(template, "Why?", " So.", "Ah") == "Question: Why?\nAnswer: So.\n\nQuestion: Ah\nAnswer:"


def test_dialogpt_is_known_by_its_config_and_stays_known_when_saved(tmp_path: Path) -> None:
    config = {"task_specific_params": {"conversational": {"max_length": 1000}}}
    folder = write_files(tmp_path / "m", vocab=VOCABULARY, merges=[], config=config)
    tokenizer = Tokenizer.from_folder(folder)
    template = templates_for(tokenizer)[0]
    assert template.name == "turns"
    conversation = Conversation(template)
    conversation.say("Hi")
    conversation.answer("Yes")
    conversation.say("<|endoftext|>")
    typed = list(b"<|endoftext|>")
    assert tokenizer.encode_prompt(conversation.prompt) == [*b"Hi", 256, *b"Yes", 256, *typed, 256]
    tokenizer.save(tmp_path / "saved")
    assert first(Tokenizer.from_folder(tmp_path / "saved")) == "turns"


# ---------------------------------------------------------------- as data


def test_the_play_is_written_as_before() -> None:
    play = PLAY.named("ROMEO", "JULIET")
    assert talk(play, "Hark!") == "ROMEO:\nHark!\n\nJULIET:\n"
    assert talk(play, "Hark!", "Ay me.\n", "") == "ROMEO:\nHark!\n\nJULIET:\nAy me.\n\nJULIET:\n"
    assert play.stop == ("\n\n", "\nROMEO:", CUE)


@pytest.mark.parametrize("template", BUILT_IN, ids=lambda template: template.name)
def test_what_the_model_already_wrote_of_the_end_is_not_repeated(template: Template) -> None:
    template = template.filled({"{end}": "<e>"}).named("A", "B")
    end = template.model[1]
    for length in range(len(end) + 1):
        conversation = Conversation(template)
        conversation.say("x")
        conversation.answer(f"y{end[:length]}")
        conversation.say("z")
        assert conversation.text.count(f"y{end}{template.person[0]}z") == 1


def test_a_template_that_needs_an_end_token_is_offered_where_there_is_one() -> None:
    alphabet = {symbol: id for id, symbol in enumerate(SYMBOLS)}
    names = [template.name for template in templates_for(Tokenizer(alphabet, []))]
    assert "turns" not in names
    assert "turns" in [template.name for template in templates_for(Tokenizer(VOCABULARY, []))]


def test_a_template_is_chosen_by_name() -> None:
    templates = templates_for(Tokenizer(VOCABULARY, []))
    assert choose(templates, "") is templates[0]
    assert choose(templates, "chatml").name == "chatml"
    with pytest.raises(SettingError, match="template is 'x'; choose from play, "):
        choose(templates, "x")


def test_a_persons_own_are_read_from_toml(tmp_path: Path) -> None:
    assert read_own(tmp_path) == []
    (tmp_path / "templates.toml").write_text(
        '[mine]\nbegin = "<b>"\nperson = ["U:", "\\n"]\nmodel = ["B:", "{end}"]\nstop = ["{end}"]\n'
    )
    (mine,) = read_own(tmp_path)
    listed = templates_for(Tokenizer(VOCABULARY, []), [mine])
    chosen = choose(listed, "mine")
    assert talk(chosen, "Hi", "Yo", "Ah") == "<b>U:Hi\nB:Yo<|endoftext|>U:Ah\nB:"
    assert chosen.stop == ("<|endoftext|>",)


TURNS = "person = ['x', 'y']\nmodel = ['a', 'b']\n"


@pytest.mark.parametrize("text", ["x", "x = 1", "[a]\nperson = ['x']", f"[a]\n{TURNS}stop = 'x'", "\xff"])
def test_a_file_of_templates_that_can_not_be_used_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "templates.toml").write_bytes(text.encode("latin-1"))
    with pytest.raises(SettingError, match=r"templates\.toml"):
        read_own(tmp_path)


# ---------------------------------------------------------------- told


def test_a_template_that_no_turns_make_is_not_understood(tmp_path: Path) -> None:
    source = GOLDEN["templates"][OF_NO_FORM]
    assert "of no form that is understood" in misread(tokenizer_of(tmp_path, "</s>", chat_template=source))


def test_a_template_that_is_not_understood_is_told_with_the_one_in_its_place(tmp_path: Path) -> None:
    strange = tokenizer_of(tmp_path / "a", "<|im_start|>", "<|im_end|>", chat_template="{{ macro(messages) }}")
    assert misread(strange) == (
        "the model's chat_template is of no form that is understood here; a chat uses the template 'chatml' instead"
    )
    source = "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}"
    assert misread(tokenizer_of(tmp_path / "b", chat_template=source, **GOLDEN["tokens"])) == ""
    assert misread(tokenizer_of(tmp_path / "c")) == misread(None) == ""


def test_in_a_play_the_turn_is_over_where_anyone_else_would_speak() -> None:
    assert PLAY.named("LADY É", "GHOST").stop == ("\n\n", "\nLADY É:", CUE)
