"""Pictures and numbers of what an attention layer did with a photograph."""
