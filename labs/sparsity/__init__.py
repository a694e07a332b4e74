"""Sparse weights and activations: patterns, formats, their kernels on the CPU, and what they cost in error."""
