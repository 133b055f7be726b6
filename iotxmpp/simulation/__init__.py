"""Simulated devices in numbers: what they read, their faults, and agents for them all in one process."""
