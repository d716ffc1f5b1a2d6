"""The showdown: tsauditd, auditd and what else takes its place, under the same rules and work. See docs/benchmarks.md.

contenders: who. written: what each has left on disk. storms.c, work, people: what makes the events. pipeline: what a
contender's processes cost. arena: one contender's turn. latency: from system call to line. offline: logs in files.
extras: what is measured once. profile: what perf's samples were at. rounds: all turns. figures: rounds to figures and
verdicts; tables, page: for people. fleet: the same for many hosts. publish: where a run is kept. __main__: the command.
"""
