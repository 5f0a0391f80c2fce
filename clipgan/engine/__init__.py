"""The training engine, which runs any task. It does not import the tasks."""
