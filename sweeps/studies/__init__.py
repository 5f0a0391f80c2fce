"""Commands for the studies of a storage."""
