"""Loads all that a cleaning worker needs. The fork server does so once, and every worker begins ready."""

import htmldate  # noqa: F401
import trafilatura.metadata  # noqa: F401

import retrieval.decode
import retrieval.extract
import retrieval.main_text  # noqa: F401
from retrieval import language

# A second of work that is not the first page's.
language.prepare()
