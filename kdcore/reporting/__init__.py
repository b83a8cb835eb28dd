"""What came out of a run, told to people: a page, a pull request's comment, a model card."""
