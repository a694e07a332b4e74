"""Attention with less to read: evicted, quantised and shared keys and values, on the real model."""
