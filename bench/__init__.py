"""Timings; tests assert values, these print ratios."""
