"""Training: data, optimizer, steps, and runs that can be resumed."""
