"""Checkpoints, the tokenizer, and the Llama-family module that the labs run."""
