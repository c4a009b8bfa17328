"""The files of a tokenizer in a model folder, by their names."""

from __future__ import annotations

VOCABULARIES = ("tokenizer.json", "vocab.json", "merges.txt", "vocab.txt")  # that are read
SENTENCEPIECE = (  # that another program converts
    "spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "sentencepiece.model", "spm.model",
)  # fmt: skip
TOKENIZERS = (*VOCABULARIES, *SENTENCEPIECE)  # any of these: a folder has a tokenizer
SETTINGS = (
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "generation_config.json",
    "chat_template.jinja", "chat_template.json",
)  # fmt: skip
