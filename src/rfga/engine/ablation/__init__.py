"""Every mechanism of RFGA changed by itself, beside the full layer."""
