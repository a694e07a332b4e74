"""Bytes, FLOPs and errors by formula: one function each, shared by labs, notes and tests. Pure Python."""
