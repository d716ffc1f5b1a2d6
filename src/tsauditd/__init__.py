"""tsauditd: kernel audit records in, one ECS JSON object per event out."""
