"""Adapters: a foreign model in, an NLP out."""
