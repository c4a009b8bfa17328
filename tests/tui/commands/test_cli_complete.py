"""`sg-tui complete`."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_support import failure, make_model, records, start

from sg_core.gpt2 import GPT2
from sg_core.inference.sampling import Sampling
from sg_core.inference.session import Session
from sg_core.inference.token import Token
from sg_core.network.interventions import Interventions
from sg_core.network.optimizations import Optimizations
from sg_core.network.precisions import Precision
from sg_tui.cli import main

COMPLETE = ("complete", "The lantern", "--max-tokens", "12")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(make_model(tmp_path_factory.mktemp("model")))


def text_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_prints_what_the_library_generates(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    session = GPT2.from_pretrained(model).session()
    sampling = Sampling(temperature=0.9, top_k=40, top_p=0.9, seed=11)
    tokens = list(session.generate("The lantern", 12, sampling))

    options = ("--temperature", "0.9", "--top-k", "40", "--top-p", "0.9", "--seed", "11")
    assert main([*COMPLETE, "--model", model, *options]) == 0
    out, err = capsys.readouterr()
    assert out == "".join(token.text for token in tokens)
    assert "12 tokens" in err
    assert "ms/token" in err

    *lines, last = records(capsys, *COMPLETE, "--model", model, *options)
    assert [line["id"] for line in lines] == [token.id for token in tokens]
    assert [line["logprob"] for line in lines] == [token.logprob for token in tokens]
    assert "".join(line["text"] for line in lines) == out
    assert set(lines[0]) == {"id", "text", "logprob", "top", "ms", "op_ms"}
    assert [tuple(map(tuple, line["top"])) for line in lines] == [token.top for token in tokens]
    assert set(last) == {"done", "tokens", "ms_per_token", "first_token_ms", "prefill_ms"}
    assert (last["done"], last["tokens"]) == ("length", 12)


def test_seed_decides_threads_and_optimizations_do_not(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    base = text_of(capsys, *COMPLETE, "--model", model)
    assert text_of(capsys, *COMPLETE, "--model", model, "--seed", "1") != base
    assert text_of(capsys, *COMPLETE, "--model", model, "--threads", "2") == base
    slow = ("--without", "kv_cache,linear,gelu,residual,layernorm,unembedding")
    assert text_of(capsys, *COMPLETE, "--model", model, *slow) == base


def test_options_reach_the_session(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions: list[Session] = []
    generate = Session.generate

    def watch(self: Session, *arguments: Any, **named: Any) -> Iterator[Token]:
        sessions.append(self)
        return generate(self, *arguments, **named)

    monkeypatch.setattr(Session, "generate", watch)
    text_of(capsys, *COMPLETE, "--model", model, "--without", "kv_cache, gelu", "--threads", "2")
    session = sessions[-1]
    assert session.model.name == model
    assert session.optimizations == Optimizations().without("kv_cache", "gelu")
    assert session.threads == 2
    text_of(capsys, *COMPLETE, "--model", model, "--with", "lookup", "--without", "gelu", "--precision", "int8")
    session = sessions[-1]
    assert session.optimizations == Optimizations().without("gelu").with_("lookup")
    assert session.precision == "int8"


def test_lookup_changes_no_text_and_tells_its_drafts(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("complete", "The lantern of the watch, the lantern of the", "--temperature", "0", "--model", model)
    plain = text_of(capsys, *arguments, "--max-tokens", "20")
    assert main([*arguments, "--max-tokens", "20", "--with", "lookup"]) == 0
    out, err = capsys.readouterr()
    assert out == plain
    assert "tokens/s (mean)" in err
    assert "drafts kept" in err
    *lines, last = records(capsys, *arguments, "--max-tokens", "20", "--with", "lookup")
    assert last["ms_per_token"] == pytest.approx(sum(line["ms"] for line in lines) / 20)
    assert 0 <= last["accepted"] <= last["drafted"]


@pytest.mark.parametrize("precision", ["f32", "int8"])
def test_kernels_of_the_precision_are_compiled_before_the_text(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, precision: str
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("sg_core.measure.compilation.warm_up", lambda **named: asked.append(named["precision"]))
    text_of(capsys, *COMPLETE, "--model", model, "--precision", precision)
    assert asked == [Precision.named(precision).kernels]


@pytest.mark.parametrize("arguments", [("complete", "-"), ("complete",)])
def test_the_prompt_can_come_from_stdin(
    model: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    def give(data: bytes) -> None:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))

    options = ("--max-tokens", "5", "--model", model)
    give(b"The lantern\n")
    assert text_of(capsys, *arguments, *options) == text_of(capsys, "complete", "The lantern\n", *options)
    give(b"caf\xe9")
    assert "byte 3 is 0xe9" in failure(capsys, 1, *arguments, *options)


def test_stop_strings_end_the_text(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    whole = text_of(capsys, *COMPLETE, "--model", model)
    stop = whole[len(whole) // 2 :][:2]
    *_, last = records(capsys, *COMPLETE, "--model", model, "--stop", stop)
    assert last["done"] == "stop"
    assert text_of(capsys, *COMPLETE, "--model", model, "--stop", stop) == whole[: whole.index(stop)]


def test_several_continuations_are_those_of_single_runs(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--model", model, "--max-tokens", "60", "--stop", "an")
    alone = [records(capsys, "complete", "The", "--seed", str(5 + number), *options) for number in range(3)]
    lines = records(capsys, "complete", "The", "--seed", "5", "--n", "3", *options)
    for number, single in enumerate(alone):
        mine = [line for line in lines if line["number"] == number]
        for line, other in zip(mine[:-1], single[:-1], strict=True):
            assert all(line[key] == other[key] for key in ("id", "text", "logprob", "top"))
            assert set(line) == {*other, "number"}
        assert (mine[-1]["done"], mine[-1]["tokens"]) == (single[-1]["done"], single[-1]["tokens"])
        assert set(mine[-1]) == {*single[-1], "number"}
    assert ["done" in line for line in lines[-3:]] == [True] * 3
    text = text_of(capsys, "complete", "The", "--seed", "5", "--n", "3", *options)
    written = ["".join(line["text"] for line in single[:-1]) for single in alone]
    assert text == "".join(f"{one}\n" for one in written)
    assert "from 1 to 64" in failure(capsys, 2, "complete", "The", "--n", "65", *options)


def test_muted_heads_and_mlps_are_those_of_interventions(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    session = GPT2.from_pretrained(model).session()
    session.interventions = Interventions().scale_head(1, 0, 0.0).scale_mlp(0, 0.0)
    expected = [(token.id, token.logprob) for token in session.generate("The lantern", 12)]
    plain, ablated = (
        [(line["id"], line["logprob"]) for line in records(capsys, *COMPLETE, "--model", model, *options)[:-1]]
        for options in ((), ("--ablate", "1.0, 0.mlp"))
    )
    assert ablated == expected != plain
    for wrong in ("2.0", "0.2", "0", "0.mlp2", "-1.0", "x", "0.1.0"):
        line = failure(capsys, 2, *COMPLETE, "--model", model, f"--ablate={wrong}")
        assert f"{wrong!r} can't be muted" in line
        assert "layers of" in line


def test_an_empty_prompt_and_no_tokens_are_defined(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(records(capsys, "complete", "", "--max-tokens", "3", "--model", model)) == 4
    assert records(capsys, "complete", "x", "--max-tokens", "0", "--model", model)[-1]["done"] == "length"


def test_a_full_context_is_announced(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["complete", "x", "--max-tokens", "60", "--model", model]) == 0
    assert "the newest 25 tokens" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "options", "said"),
    [
        (2, ("--temperature", "-1"), "temperature is -1; it must lie from 0 to 100"),
        (2, ("--temperature", "nan"), "temperature is nan"),
        (2, ("--temperature", "warm"), "'warm' is not a number"),
        (2, ("--top-p", "1.5"), "top_p is 1.5"),
        (2, ("--top-k", "-1"), "-1 is not a whole number from 0"),
        (2, ("--repetition-penalty", "0"), "repetition_penalty is 0"),
        (2, ("--max-tokens", "many"), "'many' is not a whole number from 0"),
        (2, ("--threads", "0"), "0 is not a whole number from 1 to 256"),
        (2, ("--without", "kv_cache,speed"), "'speed' is unknown; choose from kv_cache, linear"),
        (2, ("--with", "speed"), "'speed' is unknown; choose from kv_cache, linear"),
        (2, ("--with", "lookup", "--without", "lookup"), "lookup stands in --with and in --without"),
        (2, ("--stop", ""), "--stop is empty"),
        (2, ("--precision", "f64"), "precision is 'f64'; choose from f32, bf16, int8, w8a8, int4"),
        (2, ("--nonsense",), "--nonsense"),
        (1, ("--model", "no/such"), "sg-tui models pull no/such"),
    ],
)
def test_bad_input_is_one_line(
    model: str, capsys: pytest.CaptureFixture[str], code: int, options: tuple[str, ...], said: str
) -> None:
    given = () if "--model" in options else ("--model", model)
    assert said in failure(capsys, code, "complete", "x", *given, *options)


def test_a_folder_that_is_no_model_and_one_without_tokenizer_fail_at_load(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare"
    GPT2.from_pretrained(model).without_tokenizer().save_pretrained(bare)
    assert "has no tokenizer files" in failure(capsys, 1, *COMPLETE, "--model", str(bare))
    assert "is the folder above a model; give" in failure(capsys, 1, *COMPLETE, "--model", str(tmp_path))
    (bare / "model.safetensors").rename(bare / "ckpt.pt")
    assert "ckpt.pt, a checkpoint of nanoGPT" in failure(capsys, 1, *COMPLETE, "--model", str(bare))


def test_a_reader_that_leaves_ends_it_quietly(model: str) -> None:
    process = start("complete", "x", "--max-tokens", "100000", "--model", model, "--json")
    assert process.stdout is not None
    assert process.stderr is not None
    assert json.loads(process.stdout.readline())["ms"] > 0
    process.stdout.close()
    assert process.wait(60) == 0
    assert b"rror" not in process.stderr.read()


def test_ctrl_c_ends_it_with_130_and_no_traceback(model: str) -> None:
    process = start("complete", "x", "--max-tokens", "100000000", "--model", model, "--json")
    assert process.stdout is not None
    process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in err
    assert err.endswith(b"sg-tui complete: interrupted\n")


def test_a_file_gets_the_raw_text(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(tmp_path / "out", "wb") as file:
        assert start(*COMPLETE, "--model", model, stdout=file).wait(60) == 0
    assert (tmp_path / "out").read_bytes() == text_of(capsys, *COMPLETE, "--model", model).encode()
