"""The results page: every method against the student alone, on one recipe, by one command.

    python -m benchmarks.results --help

`asked` reads the recipe, `house` runs every method in a process of its own and keeps what came out,
`kept` is what is kept, `board` shows how far it is, `rows` does the arithmetic, `published` knows
the papers' numbers, and `page` writes the words.
"""
