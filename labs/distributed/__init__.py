"""One computation over several processes: ring attention, and the pool of ranks that runs it."""
