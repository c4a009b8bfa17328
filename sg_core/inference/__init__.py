"""One text being generated: from ids to logits, from logits to tokens, from tokens to text."""
