"""Solvers: an NLP in, a result out."""
