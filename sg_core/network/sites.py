"""The names of what happens inside a GPT-2, as TransformerLens gives them, on weights as they are.

Shapes are those of a text of T ids: C channels, NH heads of size hs, H hidden units of the MLP.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sg_core.checks import quoted
from sg_core.config import GPT2Config
from sg_core.errors import SettingError
from sg_core.kernels import probe

# what a row of a site is: (C,), (NH, hs), (H,), one number, or a row of scores, (NH, T)
CHANNELS, HEADS, HIDDEN, NUMBER, PATTERN = "C", "NH, hs", "H", "1", "NH, T"


@dataclass(frozen=True, slots=True)
class Site:
    """A place between two operations. layer: n_layer for what stands outside the blocks; number: see `kernels.probe`;
    row: what each position has there; editable: whether interventions reach it."""

    name: str
    layer: int
    number: int
    row: str
    editable: bool

    def row_shape(self, config: GPT2Config, T: int) -> tuple[int, ...]:
        """Of one position; T: how many positions a row of scores tells."""
        return {
            CHANNELS: (config.n_embd,),
            HEADS: (config.n_head, config.head_size),
            HIDDEN: (config.hidden_size,),
            NUMBER: (1,),
            PATTERN: (config.n_head, T),
        }[self.row]


_BEFORE = (("hook_embed", probe.EMBED, CHANNELS), ("hook_pos_embed", probe.POS_EMBED, CHANNELS))
_BLOCK = (
    ("hook_resid_pre", probe.RESID_PRE, CHANNELS),
    ("ln1.hook_scale", probe.LN1_SCALE, NUMBER),
    ("ln1.hook_normalized", probe.LN1_NORMALIZED, CHANNELS),
    ("attn.hook_q", probe.QUERIES, HEADS),
    ("attn.hook_k", probe.KEYS, HEADS),
    ("attn.hook_v", probe.VALUES, HEADS),
    ("attn.hook_attn_scores", probe.SCORES, PATTERN),
    ("attn.hook_pattern", probe.PATTERN, PATTERN),
    ("attn.hook_z", probe.MIXED, HEADS),
    ("hook_attn_out", probe.ATTN_OUT, CHANNELS),
    ("hook_resid_mid", probe.RESID_MID, CHANNELS),
    ("ln2.hook_scale", probe.LN2_SCALE, NUMBER),
    ("ln2.hook_normalized", probe.LN2_NORMALIZED, CHANNELS),
    ("mlp.hook_pre", probe.MLP_PRE, HIDDEN),
    ("mlp.hook_post", probe.MLP_POST, HIDDEN),
    ("hook_mlp_out", probe.MLP_OUT, CHANNELS),
    ("hook_resid_post", probe.RESID_POST, CHANNELS),
)
_AFTER = (
    ("ln_final.hook_scale", probe.LN1_SCALE, NUMBER),
    ("ln_final.hook_normalized", probe.LN1_NORMALIZED, CHANNELS),
)


@lru_cache(maxsize=8)
def sites(config: GPT2Config) -> dict[str, Site]:
    """Every site of a model by name, in the order of the computation."""
    L = config.n_layer
    named = [(name, L, number, row) for name, number, row in _BEFORE]
    named += [(f"blocks.{layer}.{name}", layer, number, row) for layer in range(L) for name, number, row in _BLOCK]
    named += [(name, L, number, row) for name, number, row in _AFTER]
    return {
        name: Site(name, layer, int(number), row, row not in (NUMBER, PATTERN)) for name, layer, number, row in named
    }


def matching(config: GPT2Config, patterns: Iterable[str]) -> tuple[Site, ...]:
    """The sites that some pattern means, in the order of the computation; * stands for any characters.

    Raises SettingError for a pattern that means none.
    """
    known, wanted = sites(config), set()
    for pattern in patterns:
        form = re.compile(".*".join(map(re.escape, pattern.split("*"))))
        found = [name for name in known if form.fullmatch(name)]
        if not found:
            raise SettingError(f"nothing inside this model is called {quoted(pattern)}; {_advice(config, pattern)}")
        wanted.update(found)
    return tuple(site for name, site in known.items() if name in wanted)


def one(config: GPT2Config, name: str) -> Site:
    """The site of this name. Raises SettingError."""
    known = sites(config)
    if name not in known:
        raise SettingError(f"nothing inside this model is called {quoted(name)}; {_advice(config, name)}")
    return known[name]


def _advice(config: GPT2Config, name: str) -> str:
    close = difflib.get_close_matches(name, sites(config), 3, 0.5)
    if close:
        return f"did you mean {', '.join(close)}?"
    return "names are such as hook_embed, blocks.0.hook_resid_post, blocks.0.attn.hook_pattern, ln_final.hook_scale"
