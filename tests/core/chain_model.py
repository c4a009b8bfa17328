"""A GPT-2 whose text is known: a Markov chain, one block whose MLP turns every token into its successor."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from sg_core.config import GPT2Config
from sg_core.gpt2 import GPT2
from sg_core.network.parameters import Parameters
from sg_core.text.tokenizer import Tokenizer


def chain_model(size: int, successors: Mapping[int, int], otherwise: int, tokenizer: Tokenizer | None = None) -> GPT2:
    """size: tokens of the model. successors: token -> what follows it; otherwise: what follows every other one."""
    width = -(-size // 32) * 32
    config = GPT2Config(vocab_size=size, n_ctx=64, n_layer=1, n_head=2, n_embd=width)
    parameters = Parameters(config)
    parameters.arena[:] = 0
    block = "transformer.h.0."
    parameters["transformer.wte.weight"][...] = np.eye(size, width)
    for norm in (f"{block}ln_1", f"{block}ln_2", "transformer.ln_f"):
        parameters[f"{norm}.weight"][...] = 1
    inner, outer = np.zeros((width, 4 * width)), np.zeros((4 * width, width))
    for token in range(size):
        inner[token, token] = 1
        outer[token, successors.get(token, otherwise)] = 10
    parameters[f"{block}mlp.c_fc.weight"][...] = inner
    parameters[f"{block}mlp.c_fc.bias"][...] = -5
    parameters[f"{block}mlp.c_proj.weight"][...] = outer
    return GPT2(config, parameters, tokenizer, "chain")


def chain(text: str, start: int, end: int) -> dict[int, int]:
    """Successors by which `start` is followed by the (different) characters of a text, and then by `end`."""
    ids = [start, *text.encode("ascii"), end]
    return dict(itertools.pairwise(ids))
