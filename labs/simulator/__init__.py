"""Serving simulated: devices and models by their published figures, requests by trace or by chance."""
