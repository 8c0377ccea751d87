"""What the attention layer of a run does with a photograph."""
