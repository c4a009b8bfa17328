"""Decoding and prefill of GPT-2 124M, here and in other engines: in turns, on the same weights and threads.

python tests/reference/compare_decoding.py MODEL --threads 2 --rounds 3 \\
    --llama-bench PATH --gguf f32=gpt2-f32.gguf int8=gpt2-q8_0.gguf --ctranslate2 float32=FOLDER

MODEL is a folder in Hugging Face layout with tokenizer files. The files of other engines are made of it by their own
tools: llama.cpp's convert_hf_to_gguf.py and llama-quantize, ct2-transformers-converter. transformers takes part where
it is installed. A figure is the median of the rounds; in each round every engine has its turn. Decoding: a prompt of
one token, 200 tokens (llama-bench does not choose tokens; the others choose the likeliest). Prefill: a prompt of 512
tokens and one token.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from sg_core import GPT2, Sampling
from sg_core.kernels.bandwidth import ReadBandwidth
from sg_core.network.precisions import PRECISIONS

TOKENS = 200
PROMPT = 512
GREEDY = Sampling(temperature=0.0)


Figures = tuple[float, float | None]  # ms/token; tokens/s of the prefill, None where it is not measured


def sg_core(folder: Path, precision: str, threads: int) -> Figures:
    """This project's engine, choosing tokens included."""
    model = GPT2.from_pretrained(folder, precision).without_tokenizer()
    session = model.session(threads=threads)
    prompt = [int(id) for id in np.random.default_rng(0).integers(0, model.config.vocab_size, PROMPT)]

    def decode() -> float:
        session.rewind(0)
        return statistics.median(token.ms for token in session.generate([0], TOKENS, GREEDY))

    def prefill() -> float:
        session.rewind(0)
        began = time.perf_counter()
        next(session.generate(prompt, 1, GREEDY))
        return PROMPT / (time.perf_counter() - began)

    return warm(decode), warm(prefill)


def transformers(folder: Path, threads: int) -> Figures:
    """transformers with its KV cache, in float32."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    prompt = torch.randint(0, model.config.vocab_size, (1, PROMPT))

    def decode() -> float:
        ids, cache, ms = torch.zeros(1, 1, dtype=torch.long), None, []
        with torch.inference_mode():
            for _ in range(TOKENS):
                began = time.perf_counter()
                result = model(ids, past_key_values=cache, use_cache=True)
                ids, cache = result.logits[:, -1:].argmax(-1), result.past_key_values
                ms.append((time.perf_counter() - began) * 1e3)
        return statistics.median(ms)

    def prefill() -> float:
        with torch.inference_mode():
            began = time.perf_counter()
            model(prompt, use_cache=True, logits_to_keep=1).logits.argmax(-1).item()
        return PROMPT / (time.perf_counter() - began)

    return warm(decode), warm(prefill)


def ctranslate2(folder: Path, kind: str, threads: int) -> Figures:
    """CTranslate2; kind: float32, int8, ..."""
    from ctranslate2 import Generator

    generator: Any = Generator(str(folder), device="cpu", compute_type=kind, intra_threads=threads)

    def decode() -> float:
        began = time.perf_counter()
        generator.generate_batch(
            [["<|endoftext|>"]], max_length=TOKENS, min_length=TOKENS, sampling_topk=1, include_prompt_in_result=False
        )
        return (time.perf_counter() - began) * 1e3 / TOKENS

    return warm(decode), None


def warm(measure: Callable[[], float]) -> float:
    """The second of two runs."""
    measure()
    return measure()


def llama(binary: Path, file: Path, threads: int) -> Figures:
    """llama.cpp, by its own benchmark, which warms up too."""

    def run(*options: str) -> float:
        command = [str(binary), "-m", str(file), "-t", str(threads), "-r", "1", "-o", "json", *options]
        result = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(json.loads(result.stdout)[0]["avg_ts"])

    return 1000.0 / run("-p", "0", "-n", str(TOKENS)), run("-p", str(PROMPT), "-n", "0")


def in_turn(args: argparse.Namespace) -> dict[str, Callable[[], Figures]]:
    """The engines that the arguments and the installed packages give, by name."""
    engines: dict[str, Callable[[], Figures]] = {}
    for precision in args.precision.split(","):
        engines[f"sg_core {precision}"] = partial(sg_core, args.model, precision, args.threads)
    for label, file in args.gguf:
        engines[f"llama.cpp {label}"] = partial(llama, args.llama_bench, file, args.threads)
    for kind, folder in args.ctranslate2:
        engines[f"CTranslate2 {kind}"] = partial(ctranslate2, folder, kind, args.threads)
    if find_spec("transformers"):
        engines["transformers f32"] = partial(transformers, args.model, args.threads)
    return engines


def alone(name: str) -> Figures:
    """An engine's figures, from a process of its own."""
    command = [sys.executable, *sys.argv, "--alone", name]
    ms, rate = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])
    return ms, rate


def labelled(text: str) -> tuple[str, Path]:
    """ "f32=FILE"."""
    label, _, path = text.partition("=")
    return label, Path(path)


def main() -> None:
    """Measure and print a line an engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--precision", default=",".join(PRECISIONS))
    parser.add_argument("--llama-bench", type=Path, default=Path("llama-bench"))
    parser.add_argument("--gguf", type=labelled, nargs="*", default=[])
    parser.add_argument("--ctranslate2", type=labelled, nargs="*", default=[])
    parser.add_argument("--alone", help="only this engine, its figures as JSON")
    args = parser.parse_args()
    engines = in_turn(args)
    if args.alone:
        print(json.dumps(engines[args.alone]()))
        return
    decode: dict[str, list[float]] = defaultdict(list)
    prefill: dict[str, list[float]] = defaultdict(list)
    bandwidth = ReadBandwidth(args.threads)
    for round_number in range(1, args.rounds + 1):
        for name in engines:
            ms, rate = alone(name)
            decode[name].append(ms)
            prefill[name] += [rate] if rate is not None else []
        best = bandwidth.measure() * 1e-9
        print(f"round {round_number} of {args.rounds}; best read rate so far {best:.0f} GB/s", flush=True)
    print(f"{'engine':22} ms/token {'range':>15}   prefill tokens/s")
    for name in engines:
        times, rates = decode[name], prefill[name]
        told = f"{statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f})" if rates else "-"
        print(f"{name:22} {statistics.median(times):8.2f} {min(times):6.2f} to {max(times):5.2f}   {told}")


if __name__ == "__main__":
    main()
