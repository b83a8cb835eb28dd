"""The OpenAI facade: fine-tuning jobs and files, as the openai clients know them, over our own.

Nothing is kept for it: a fine-tuning job is a job, and a file is an upload or what a job delivered.
"""
