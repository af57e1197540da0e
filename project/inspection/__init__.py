"""A data set before the training: its classes and files, duplicates, and likely wrong labels."""
