"""Audit control over netlink: status, registration, state and rules.

Importing this package costs nothing. `netlink` speaks to the kernel through a plain socket and is what the daemon
uses; `pyroute` does the same through pyroute2 for the commands and is imported only there.
"""
