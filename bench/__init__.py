"""Benches: they print timings and ratios. (Tests assert values.)"""
