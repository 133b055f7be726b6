"""The parts of `speed.py` and `growth.py`: both sides of each comparison, each end a process of its own."""
