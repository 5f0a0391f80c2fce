"""What bench/sweep.py measures with: a task that does next to nothing, other sweepers, a loop of claims."""
