"""A data set before the training: its classes and files, duplicates, and labels that a network contradicts."""
