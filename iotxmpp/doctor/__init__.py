"""What is wrong with a machine, its hardware and its server, why, and what to do about it.

Each check is one function that gives findings. Those of hardware and machine take the roots of what they look
at, so that they can be shown any machine.
"""
