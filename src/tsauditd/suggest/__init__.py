"""Which exclusions a day of events speaks for, and what each would save. Changes nothing.

candidates: the rule that would leave an event out, or why none may. tally: how often each, in bounded memory.
report: logs in, proposals out, as text that `tsauditd rules load` takes and as JSON.
"""
