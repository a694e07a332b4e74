"""InferLab's window. Imports no torch, triton or labs: labs run in a worker process."""
