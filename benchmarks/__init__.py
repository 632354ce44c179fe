"""Measurements of the design: what each choice is worth."""
