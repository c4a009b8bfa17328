"""`sg-tui bench --race LEFT RIGHT`: two settings on one prompt and seed, a token of each in turn."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING

from sg_core.engine.commands import Race
from sg_core.inference.sampling import Sampling
from sg_core.measure.race import Standings, race
from sg_core.measure.setting import Setting
from sg_tui.commands.interrupt import Interrupt
from sg_tui.commands.output import DONE, Output
from sg_tui.state.race_state import lap_record, lead_words, same_words, summary

if TYPE_CHECKING:
    from sg_core.gpt2 import GPT2

TOKENS = 120


def run_race(args: argparse.Namespace, load: Callable[[], GPT2], output: Output) -> int:
    """Race, and print a line a token with --json, else the end. Raises SettingError."""
    left, right = (Setting.named(text) for text in args.race)
    model = load()
    from sg_core.measure.compilation import warm_up

    for kernels in dict.fromkeys(model.storage(side.precision).kernels for side in (left, right)):
        warm_up(progress=output.compiling, precision=kernels)
    tokens = args.tokens or TOKENS
    prompt = [model.config.vocab_size - 1]  # the end of a text, in a vocabulary such as GPT-2's
    command, standings = (
        Race(0, left, right, tokens=tokens, sampling=Sampling(temperature=0.0)),
        Standings(bursts=left.optimizations.bursts or right.optimizations.bursts),
    )
    with Interrupt() as interrupt:
        for lap in race(model, prompt, left, right, tokens, command.sampling, args.threads, interrupt):
            standings.add(lap)
            if args.json:
                output.json(lap_record(len(standings.laps), lap))
            else:
                output.progress("racing: token", len(standings.laps), tokens)
        if interrupt():
            raise KeyboardInterrupt
    if args.json:
        output.json(summary(command, standings))
        return DONE
    output.line(f"{model.name}: {left.words} against {right.words}, {len(standings.laps)} tokens of each in turn")
    for side, setting in enumerate((left, right)):
        output.line(f"{standings.ms(side):9.3f} ms/token, {standings.statistic}  {setting.words}")
    output.line(lead_words(standings))
    output.line(same_words(standings))
    return DONE
