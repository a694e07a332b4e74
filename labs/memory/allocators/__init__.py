"""Memory allocators by hand: one file each, one interface, driven by the same trace of requests."""
