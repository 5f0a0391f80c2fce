"""The study in its database: the queue of trials, and how one is claimed."""
