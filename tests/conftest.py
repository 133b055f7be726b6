"""What every test may ask for."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.servers"]

# A busy machine is no finding: no test here asserts how long something takes.
settings.register_profile("shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared machine")
