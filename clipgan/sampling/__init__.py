"""Pictures from a trained generator, for the command line and for a model server."""
