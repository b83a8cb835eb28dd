"""The teacher cache: what frozen networks said of the data, kept for all runs.

`shelf` is the folder of all caches and its budget, `cache` is one of them, `locks` keep them apart;
these need no torch.
`sheet` is one file-backed table of answers, `answers` is what the loop asks, live or kept.
"""
