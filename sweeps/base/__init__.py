"""What every room needs: errors, settings, options, names of environment variables, signals."""
