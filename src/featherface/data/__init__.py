"""Labelled pictures and what training cuts from them."""
