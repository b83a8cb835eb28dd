"""The ledger: what was asked, what happened, what came out. SQL is the truth; Celery only rings."""
