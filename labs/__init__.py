"""InferLab's labs: headless, no Qt; usable from the window, a shell and pytest."""
