"""Checkpoint files: written completely or not at all, and read without running code that they may hold."""
