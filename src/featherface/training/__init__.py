"""How networks learn: losses, schedule, average, checkpoints, the loop."""
