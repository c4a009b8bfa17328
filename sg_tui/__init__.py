"""The terminal program: what people see of the engine."""
