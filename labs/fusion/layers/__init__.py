"""Fusing the steps of a real decoder block: what each saves, counted and timed."""
