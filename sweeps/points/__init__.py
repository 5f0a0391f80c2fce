"""Points of the search space: which there are, and what their trials have come to."""
