"""Writes golden/tokenizer.json: ids of difficult texts by transformers' GPT-2 tokenizer.

Run where transformers is installed: python tests/reference/make_tokenizer_golden.py FOLDER, with GPT-2's own
vocab.json and merges.txt in FOLDER.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

TEXTS: dict[str, str] = {
    "english": "Hello world! It's the year 2024; they'll say we've seen 1,234.56 of them, I'd guess.",
    "contractions": "don't DON'T I'M you're 'tis 's't 've'll 'x ''s they'Ve",
    "german": "Fußgängerübergänge und Größe, schön: „Zitat“ – ja…",
    "french": "L'été dernier, ça va? Où ça? « Bien sûr »",
    "russian": "Съешь же ещё этих мягких французских булок, да выпей чаю.",
    "greek": "Ξεσκεπάζω τὴν ψυχοφθόρα βδελυγμία.",
    "arabic": "مرحبا بالعالم، كيف حالك؟ ١٢٣",
    "hebrew": "שלום עולם",
    "hindi": "नमस्ते दुनिया, क्षत्रिय १२३",
    "thai": "สวัสดีชาวโลก",
    "chinese": "你好,世界!今天天气很好。",
    "japanese": "こんにちは世界。カタカナ、漢字。",
    "korean": "안녕하세요 세계",
    "emoji": "😀👍🏽👨‍👩‍👧‍👦 🇺🇳❤️ smile:)😀😀",
    "python": "def f(x: int) -> str:\n    if x >= 10:\n\treturn f'{x!r}'  # ok\n\n\n    return None\n",
    "c": "for (int i = 0; i < n; ++i) { a[i] += b[i]->c * 0x1F; } /* \\n */\r\n#include <x.h>",
    "blanks": "a  b   c    d" + " " * 40 + "e" + " " * 300 + "\n" * 30 + "x\t\t\ty \t \t z   ",
    "trailing blanks": "word     ",
    "leading blanks": "     word",
    "only blanks": " " * 77,
    "newlines": "\n\n\n\r\n\r\n \n \n",
    "odd blanks": "a\u00a0b\u2003c\u3000d\u2028e\u0085f\x0bg\x0ch\x1ci\x1dj\u200bk\u180el\ufeffm",
    "odd blank runs": "a\u00a0\u00a0\u00a0b \u3000 c\x1c\x1c\x1cd \x1f e\u200b\u200bf",
    "end of text inside": "before<|endoftext|>after <|endoftext|> <|endoftext|><|endoftext|>",
    "controls": "\x00\x01\x1b[31mred\x1b[0m\x7f\x9b",
    "combining": "e\u0301 a\u0308\u0323 Z\u0351\u036b\u0343",
    "numerals": "x² ½ Ⅷ ٣ ๓ 1st 2nd ⁴₅",
    "right to left marks": "\u202eabc\u202c \u2066x\u2069",
    "long word": "a" * 333 + "b" * 77 + "Lopadotemachoselachogaleo" * 5,
    "long signs": "=" * 500 + "-" * 81 + "~" * 33,
    "astral": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐍈 \U0010ffff",
    "mixed": "Ünïcödé123 abc123def 4x4 C++ C# $9.99 €5 @user #tag http://a.b/c?d=e&f=%20",
}


def main() -> None:
    from transformers import GPT2TokenizerFast

    folder = sys.argv[1]
    tokenizer = GPT2TokenizerFast.from_pretrained(folder)
    # "<|endoftext|>" inside text is plain text, as in this project
    cases = [
        {"name": name, "text": text, "ids": tokenizer(text, split_special_tokens=True)["input_ids"]}
        for name, text in TEXTS.items()
    ]
    lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases)
    target = Path(__file__).parent / "golden" / "tokenizer.json"
    target.write_text(f"[\n{lines}\n]\n", encoding="ascii")


if __name__ == "__main__":
    main()
