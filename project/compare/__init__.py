"""Runs beside each other: which settings differ, what their results are, and how sure a difference is."""
