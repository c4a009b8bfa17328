"""What stands between any text and a terminal: safety, keys, the clipboard."""
