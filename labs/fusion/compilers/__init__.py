"""How compilers fuse: patterns on an FX graph, Inductor, Dynamo and XLA, by their own account."""
