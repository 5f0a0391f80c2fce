"""Captioned images: drawn shapes, the emoji of a package, or a data set on disk; packed once for each resolution."""
