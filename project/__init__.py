"""A PyTorch Lightning experiment project: a small network on CIFAR-10, from one YAML file."""
