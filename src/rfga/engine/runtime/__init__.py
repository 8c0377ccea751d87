"""What a command computes with: devices, processes, progress."""
