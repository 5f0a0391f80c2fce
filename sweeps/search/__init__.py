"""Which points a command runs next: a grid's, or those that a sampler draws."""
