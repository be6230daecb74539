"""Adapters: each calls one package through its public interface, on the arrays that all implementations read.

They run in an environment of their own, ``peers.txt``, and import numpy and their package only.
"""
