"""Contrastive terms, the structures that choose them, and the adversarial losses."""
