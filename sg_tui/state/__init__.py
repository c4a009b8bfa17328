"""What the views show, as plain data: no widgets, no files."""
