"""Property tests are never timed: the machine that runs them may be busy."""

from hypothesis import settings

settings.register_profile("hearken", deadline=None)
settings.load_profile("hearken")
