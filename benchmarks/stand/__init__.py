"""What the benchmarks of the API and the ledger stand on: databases, load, and medians."""
