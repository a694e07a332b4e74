"""A warp machine: a small language for kernels, its lockstep execution, and what its memory accesses cost."""
