"""Sparse weights and activations: patterns, formats, kernels on the CPU, and what they cost in error."""
