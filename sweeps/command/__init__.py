"""What the user asked for: the composed configuration, and the plan that follows from it."""
