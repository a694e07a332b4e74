"""Playing what was recorded: one clock a trace, what stood where, animations."""
