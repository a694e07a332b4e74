"""One workload, served in one order after another: who waits, who keeps its objective, who pays."""
