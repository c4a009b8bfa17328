"""The figures shown of the inside of a token, as plain data: what an export holds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sg_tui.state.inside_state import InsideState

if TYPE_CHECKING:
    from sg_core.inference.attribution import Attribution


def figures(state: InsideState) -> dict[str, Any]:
    """All that was looked at, unrounded; the names are those of the panels. Nothing where nothing was looked at."""
    looked = state.looked
    if looked is None:
        return {}
    inside, lens, why = looked.inside, looked.inside.lens, looked.inside.why
    rows = [
        {"layer": number - 1, "best": row.best, "best_text": text, "p": row.p, "token_p": row.token_p, "rank": row.rank}
        for number, (row, text) in enumerate(zip(lens.rows, looked.best_texts, strict=True))
    ]
    found: dict[str, Any] = {
        "token": lens.token,
        "text": looked.text,
        "position": inside.place,
        "ids": list(inside.ids),
        "texts": list(looked.texts),
        "changes": [{"layer": one.layer, "head": one.head, "factor": one.factor} for one in looked.scales],
        "lens": {"layer -1": "the embedding", "rows": rows, "lead": None if lens.lead is None else lens.lead - 1},
        "why": None if why is None else _parts(why, looked.rival_text),
        "attention": {"layer": state.layer, "head": state.head, "pattern": state.pattern()},
        "ms": looked.ms,
    }
    if state.measured is not None:
        heads = state.measured.heads
        found["heads"] = {
            "kinds": ["previous", "first", "itself", "repeats"],
            "shares": heads.shares.tolist(),
            "positions": heads.positions,
            "repeats": heads.repeats,
        }
    return found


def _parts(why: Attribution, rival_text: str) -> dict[str, Any]:
    return {
        "rival": why.rival,
        "rival_text": rival_text,
        "difference": why.difference,
        "embedding": why.embedding,
        "position": why.position,
        "biases": why.biases,
        "heads": why.heads.tolist(),
        "mlps": why.mlps.tolist(),
    }
