"""From photographs with class labels to a trained model."""
