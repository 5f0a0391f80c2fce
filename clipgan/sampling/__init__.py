"""Pictures from a trained generator: for a command line, and for whoever asks a server."""
