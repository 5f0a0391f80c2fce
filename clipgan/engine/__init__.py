"""The training engine: what a run of any task uses. It does not know its tasks."""
