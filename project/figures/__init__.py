"""What `scripts/figures.py` draws: one module a picture, each from runs of its own. Nothing else imports these."""
