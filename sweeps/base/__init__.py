"""Shared parts of the package: errors, settings, options, names of environment variables, signals."""
