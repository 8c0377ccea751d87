"""Boxes, score maps and their level sets; imports nothing of ours but the types, and no torch."""
