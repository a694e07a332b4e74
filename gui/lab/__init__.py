"""The lab half of the window: a form from the lab's schema, the worker that runs it, and views of its
results."""
