"""The study in its database: its queue of trials, and the claims of workers."""
