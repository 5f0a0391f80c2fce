"""Parts of bench/sweep.py: a task that does almost nothing, the sweepers to compare, claims, simulated sweeps."""
