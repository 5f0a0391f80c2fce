"""Data sets as they lie on disk, a module for each format."""
