"""Code that runs inside a job: its reports, its pruner, its result."""
