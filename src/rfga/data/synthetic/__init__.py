"""The embedded data set: birds drawn at run time, alike but for a small part of the head."""
