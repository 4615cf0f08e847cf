"""What the commands of the workshop do, one module each."""
