"""Debian's `ausearch -i` as the judge of our decoding: reader.py reads it, compare.py holds our JSON against it."""
