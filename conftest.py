"""What the tests in `tests` and beside the builders share: reproducible Hypothesis."""

from hypothesis import settings

# The same examples in every run, and no failure because a machine is busy.
settings.register_profile("ferkeras", derandomize=True, deadline=None)
settings.load_profile("ferkeras")
