"""The pictures of `scripts/figures.py`. No other package of the project imports them."""
