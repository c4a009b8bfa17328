"""What it costs: time, memory, and the quality of a precision."""
