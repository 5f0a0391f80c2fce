"""Captioned images: drawn, brought by a package, or a data set on disk; each packed once at the target resolution."""
