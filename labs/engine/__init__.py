"""A small serving engine on the real model: blocks, queues, batches, and the runner that computes a step."""
