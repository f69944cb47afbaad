"""Ways to have speech translated by a server: each is a `TranslationRoute` of `interpret/ports.py`."""
