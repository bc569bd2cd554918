"""A web that every machine has: pages made from what is installed with Python, served on a loopback port.

It lets search, fetching, cleaning and ranking do their real work without the internet.
"""

from retrieval.sample_web.site import SampleWeb

__all__ = ["SampleWeb"]
