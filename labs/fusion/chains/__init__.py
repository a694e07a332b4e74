"""Chains of operators cut into kernels at will: generated, run, compiled and compared."""
