"""What runs inside a job: its reports, its pruner, its end."""
