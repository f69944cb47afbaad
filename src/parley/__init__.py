"""Parley: a self-hosted real-time voice server and toolkit.

Importing this package loads no engine and no heavy library; each is imported by the one file that wraps it, when it is opened.
"""

__version__ = "0.1.0"
