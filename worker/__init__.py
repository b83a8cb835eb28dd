"""The engine room: takes jobs from the ledger and runs each attempt in a process of its own."""
