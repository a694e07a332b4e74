"""Operators fused: what a block does as separate kernels, as fewer ones, and what that saves."""
