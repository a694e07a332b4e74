"""Operators: each kernel with its naive reference and a check beside it."""
