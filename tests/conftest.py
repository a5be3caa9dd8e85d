"""Property tests are repeatable, and have no deadlines, because the first call compiles."""

from hypothesis import settings

settings.register_profile("repeatable", deadline=None, derandomize=True)
settings.load_profile("repeatable")
