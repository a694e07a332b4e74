"""Products of two thin matrices in place of one: when they pay, how they are found, and what may be
cached."""
