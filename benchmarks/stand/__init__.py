"""What the benchmarks stand on: databases, load, data, turns that are paired, tables."""
