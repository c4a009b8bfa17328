"""`sg-tui score`."""

from __future__ import annotations

import csv
import io
import json
import math
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_support import TEXT, failure, make_model, records, start

from sg_core.gpt2 import GPT2
from sg_core.inference.beside import score_beside
from sg_core.inference.spans import lines, words
from sg_core.text.special_tokens import END_OF_TEXT
from sg_tui.cli import main
from sg_tui.commands.score_choices import Question, questions

WRITTEN = "\ufeffThe lantern goes\r\nup the hill, caf\u00e9.\n\nAll the town  is sleeping\x1b[31m in the mist.\n" * 3
TOTALS = [
    "tokens", "characters", "bytes", "nats", "perplexity", "nats_per_character", "bits_per_byte", "window", "overlap",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model")))


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "text.txt"
    path.write_bytes(WRITTEN.encode())
    return str(path)


def written(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["score", *arguments]) == 0
    return capsys.readouterr().out


def table(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(written(capsys, *arguments, "--csv"))))


# ---------------------------------------------------------------- rows


def test_tokens_are_those_of_the_library_byte_order_mark_and_line_ends_too(
    model: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = GPT2.from_pretrained(model).score(WRITTEN)
    *rows, last = records(capsys, "score", file, "--model", model)
    assert [list(row) for row in rows] == [["id", "text", "start", "logprob", "rank", "entropy", "top"]] * len(scores)
    for row, token in zip(rows, scores, strict=True):
        assert row == {name: getattr(token, name) for name in row} | {"top": [list(one) for one in token.top]}
    assert "".join(row["text"] for row in rows) == WRITTEN
    assert [rows[0][name] for name in ("logprob", "rank", "entropy", "top")] == [None, None, None, []]
    assert list(last) == TOTALS
    assert last == {name: getattr(scores, name) for name in TOTALS}
    assert (last["window"], last["overlap"]) == (48, 24)
    assert last["perplexity"] == pytest.approx(math.exp(last["nats"] / last["tokens"]))


def test_csv_has_the_same_numbers_at_full_precision(model: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for by in ("token", "word", "line"):
        *rows, _ = records(capsys, "score", file, "--model", model, "--by", by)
        for row, line in zip(rows, table(capsys, file, "--model", model, "--by", by), strict=True):
            assert list(line) == list(row)
            assert line["text"] == row["text"]
            assert (float(line["logprob"]) if line["logprob"] else None) == row["logprob"]
    top = line["top"] if "top" in line else table(capsys, file, "--model", model)[1]["top"]
    pairs = [pair.split(":") for pair in top.split(" ")]
    assert [[int(id), float(logprob)] for id, logprob in pairs] == records(capsys, "score", file, "--model", model)[1][
        "top"
    ]


def test_words_and_lines_are_those_of_the_library(model: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    scores = GPT2.from_pretrained(model).score(WRITTEN)
    *rows, last = records(capsys, "score", file, "--model", model, "--by", "word")
    assert rows == [{name: getattr(word, name) for name in rows[0]} for word in words(scores)]
    assert list(rows[0]) == ["text", "start", "tokens", "logprob", "uncorrected"]
    *rows, again = records(capsys, "score", file, "--model", model, "--by", "line")
    assert last == again
    for row, line in zip(rows, lines(scores), strict=True):
        assert (row["line"], row["text"], row["logprob"]) == (line.number, line.text, line.logprob)
        assert row["perplexity"] == pytest.approx(math.exp(-row["logprob"] / row["tokens"]))
        assert row["nats_per_character"] == pytest.approx(-row["logprob"] / row["characters"])


@pytest.mark.parametrize("by", ["token", "word", "line"])
def test_a_table_for_people_is_harmless(model: str, file: str, capsys: pytest.CaptureFixture[str], by: str) -> None:
    head, *rows, totals, windows = written(capsys, file, "--model", model, "--by", by).splitlines()
    *expected, last = records(capsys, "score", file, "--model", model, "--by", by)
    assert head.split()[:3] == ["start", "nats", "bits"]
    assert len(rows) == len(expected)
    for row, record in zip(rows, expected, strict=True):
        start, nats, bits = row.split()[:3]
        assert int(start) == record["start"]
        if record["logprob"] is not None:
            assert float(nats) == pytest.approx(-record["logprob"], abs=1e-3)  # three decimals
            assert float(bits) == pytest.approx(-record["logprob"] / math.log(2), abs=1e-3)
    assert not any(character in "".join(rows) for character in "\x1b\r\ufeff")
    assert f"{last['tokens']:,} tokens" in totals
    assert "windows of 48 tokens that overlap by 24" in windows


def test_the_text_can_come_from_stdin(
    model: str, file: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(WRITTEN.encode())))
    assert records(capsys, "score", "-", "--model", model) == records(capsys, "score", file, "--model", model)


def test_the_end_of_a_document_is_text_unless_asked_for(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "documents.txt"
    path.write_text(f"The hill{END_OF_TEXT}The town", "utf-8")
    tokenizer = GPT2.from_pretrained(model).tokenizer
    assert tokenizer is not None
    for options, count in (((), 0), (("--special",), 1)):
        rows = records(capsys, "score", str(path), "--model", model, *options)
        assert [row.get("id") for row in rows].count(tokenizer.end_of_text) == count


def test_what_is_not_finite_is_null(tmp_path: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_model(tmp_path / "damaged")
    model = GPT2.from_pretrained(folder)
    model.parameters["ln_f.bias"][0] = np.nan
    model.save_pretrained(folder)
    assert main(["score", file, "--model", str(folder), "--json"]) == 0
    out, err = capsys.readouterr()
    rows: list[dict[str, Any]] = [json.loads(line) for line in out.splitlines()]
    assert (rows[1]["logprob"], rows[1]["rank"], rows[1]["top"][0][1], rows[-1]["nats"]) == (None, None, None, None)
    assert "NaN" in err
    assert main(["score", file, "--model", str(folder)]) == 0


# ---------------------------------------------------------------- beside each other


def test_precisions_stand_beside_the_model(model: str, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    loaded = GPT2.from_pretrained(model)
    others = {name: loaded.score(WRITTEN, precision=name) for name in ("int8", "bf16")}
    together = {name: score_beside(loaded, loaded, loaded.tokenizer, WRITTEN, other_precision=name) for name in others}
    *rows, last = records(capsys, "score", file, "--model", model, "--compare", "int8,bf16")
    for place, row in enumerate(rows):
        assert list(row["compare"]) == ["int8", "bf16"]
        for name, scores in others.items():
            beside = row["compare"][name]
            assert beside["logprob"] == scores[place].logprob
            if place:
                assert beside["difference"] == row["logprob"] - beside["logprob"]
            found = together[name]
            assert beside["kl"] == (found.divergences[place] if place else None)
            assert last["compare"][name]["kl"] == pytest.approx(found.divergence)
    assert 0 < last["compare"]["bf16"]["kl"] < last["compare"]["int8"]["kl"]
    apart = [row["compare"]["int8"]["difference"] for row in rows[1:]]
    told = last["compare"]["int8"]
    assert told["nats"] == others["int8"].nats
    assert told["difference"] == pytest.approx((told["nats"] - last["nats"]) / last["tokens"])
    assert told["standard_error"] == pytest.approx(np.std(apart, ddof=1) / math.sqrt(len(apart)))
    assert told["parts"] == last["tokens"]
    row = table(capsys, file, "--model", model, "--compare", "int8")[3]
    assert float(row["difference int8"]) == rows[3]["compare"]["int8"]["difference"]
    assert float(row["kl int8"]) == rows[3]["compare"]["int8"]["kl"]
    head, *_, told, _ = written(capsys, file, "--model", model, "--compare", "int8,bf16").splitlines()
    assert head.split()[5:] == ["int8", "more", "KL", "bf16", "more", "KL", "token"]
    assert f"KL {last['compare']['bf16']['kl']:.4g} nats a token" in told
    *words, last = records(capsys, "score", file, "--model", model, "--compare", "int8", "--by", "word")
    assert all("kl" not in row["compare"]["int8"] for row in words)
    assert last["compare"]["int8"]["kl"] > 0


def test_models_of_other_vocabularies_compare_by_word_and_line(
    model: str, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = "tinyshakespeare"
    said = failure(capsys, 2, "score", file, "--model", model, "--compare", shipped)
    assert said.endswith("tinyshakespeare cuts the text into other tokens; compare --by word or --by line")
    *rows, last = records(capsys, "score", file, "--model", model, "--compare", shipped, "--by", "word")
    alone = {word.start: word.logprob for word in words(GPT2.from_pretrained(shipped).score(WRITTEN))}
    assert [row["compare"][shipped]["logprob"] for row in rows] == [alone[row["start"]] for row in rows]
    assert last["compare"][shipped]["parts"] == len(rows) - 1  # the first word has no probability
    assert last["compare"][shipped]["kl"] is None


# ---------------------------------------------------------------- choices


def test_questions_are_prompts_and_lines_with_a_dash() -> None:
    text = "The town is\n- asleep\n-awake\r\n\nOne\nmore:\n- a\n- b\n"
    assert questions(text) == [Question("The town is", (" asleep", "awake")), Question("One\nmore:", (" a", " b"))]
    assert questions("- a\n- b") == [Question("", (" a", " b"))]
    assert questions("one\n\ntwo\r\n") == [Question("", ("one", "two"))]


def test_choices_are_ranked_by_what_comes_after_the_prompt(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "choices.txt"
    endings = (" is sleeping", " is", " sleeping in the mist of the hill")
    path.write_text("all the town\n" + "".join(f"-{ending}\n" for ending in endings), "utf-8")
    *rows, last = records(capsys, "score", str(path), "--choices", "--model", model)
    assert last == {"questions": 1, "choices": 3}
    loaded = GPT2.from_pretrained(model)
    for row, ending in zip(rows, endings, strict=True):
        own = [token for token in loaded.score("all the town" + ending) if token.start >= len("all the town")]
        nats = -sum(token.logprob or 0 for token in own)
        assert (row["text"], row["tokens"], row["characters"]) == (ending, len(own), len(ending))
        assert (row["nats"], row["nats_per_character"]) == (pytest.approx(nats), pytest.approx(nats / len(ending)))
    for value, rank in (("nats", "rank"), ("nats_per_character", "rank_per_character")):
        assert [row[rank] for row in sorted(rows, key=lambda row: row[value])] == [1, 2, 3]
    assert rows[1]["rank"] == 1
    assert [row["rank"] for row in table(capsys, str(path), "--choices", "--model", model)] == [
        str(row["rank"]) for row in rows
    ]
    title, head, *lines = written(capsys, str(path), "--choices", "--model", model).splitlines()
    assert title == "1. all the town"
    assert head.split() == ["nats", "rank", "nats/char", "rank", "choice"]
    assert [line.split(maxsplit=4)[4] for line in lines] == [ending.strip() for ending in endings]


def test_without_a_prompt_it_is_said_that_the_first_token_does_not_count(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "choices.txt"
    path.write_text("the town is\nthe mist is\n", "utf-8")
    assert main(["score", str(path), "--choices", "--model", model]) == 0
    assert "the first token of a choice has no probability" in capsys.readouterr().err


# ---------------------------------------------------------------- what goes wrong


@pytest.mark.parametrize(
    ("code", "content", "options", "said"),
    [
        (1, b"", (), "is empty; a text to score is needed"),
        (1, b"one\ncaf\xe9", (), "is not UTF-8: byte 7 (line 2) is 0xe9"),
        (1, b"Is it\n- so\n", ("--choices",), "question 1 has 1 choices; give two or more"),
        (1, b"Is it\n- so\n-\n", ("--choices",), "question 1 has an empty choice"),
        (2, b"text", ("--choices", "--by", "word"), "not allowed with"),
        (2, b"text", ("--json", "--csv"), "not allowed with"),
        (2, b"- a\n- b\n", ("--choices", "--compare", "int8"), "--choices ranks with one model"),
        (1, b"text", ("--compare", "nowhere/at-all"), "nowhere"),
    ],
)
def test_what_can_not_be_scored_is_one_line(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    code: int, content: bytes, options: tuple[str, ...], said: str,
) -> None:  # fmt: skip
    path = tmp_path / "text.txt"
    path.write_bytes(content)
    assert said in failure(capsys, code, "score", str(path), "--model", model, *options)


def test_a_file_that_is_not_there_is_one_line(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "nowhere.txt can't be read" in failure(capsys, 1, "score", "nowhere.txt", "--model", model)


def test_ctrl_c_ends_a_long_text_at_once(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text(TEXT * 400, "utf-8")
    process = start("score", str(path), "--json")
    assert process.stderr is not None
    line = b""
    while b"scoring" not in line:
        line = process.stderr.readline()
        assert line
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert err.endswith(b"sg-tui score: interrupted\n")
    assert (b"Traceback" in err, out) == (False, b"")
