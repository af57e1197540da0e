"""The LightningModule, the trainer, its loops, and test-time augmentation."""
