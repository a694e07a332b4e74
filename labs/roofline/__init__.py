"""What the roofline lab runs: this machine's roofs, the operators and the model under them, and profiles."""
