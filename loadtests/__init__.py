"""Load, and how much of it one process carries."""
