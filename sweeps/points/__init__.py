"""Points of the search space, and the results of their trials."""
