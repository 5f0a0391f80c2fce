"""Parts of bench/sweep.py: a task that does next to nothing, the sweepers to compare, a loop of claims."""
