"""The window's end of the worker that runs labs: messages, runs in flight, how it ended."""
