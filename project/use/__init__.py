"""What a trained network is good for: load it, predict, export it. Nothing here imports Lightning."""
