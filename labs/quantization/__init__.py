"""Quantisation in torch: number formats, uniform quantisers, packing, and what they do to the real model."""
