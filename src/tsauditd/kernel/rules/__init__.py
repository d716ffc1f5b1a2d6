"""Audit rules in auditctl's own grammar: text <-> Rule <-> struct audit_rule_data, and the kernel's lists of them.

tables: what the grammar consists of, as data. names: what only the system or the core can say. rule: the types.
parse: text to commands. encode, decode: rules to the kernel's bytes and back. load: the kernel's lists.
"""
