"""How Hypothesis runs here."""

from hypothesis import settings

# A busy machine is no failure: no time limit for one example. Failures print how to repeat them.
settings.register_profile("protocol", deadline=None, print_blob=True)
settings.load_profile("protocol")
