"""The schema, step by step; each step fits the version of the program that still runs."""
