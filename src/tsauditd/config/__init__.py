"""The configuration: one tree of dataclasses, read from TOML or taken over from auditd.conf."""

from tsauditd.config.model import (
    Config,
    Daemon,
    Events,
    FileOutput,
    Kernel,
    Output,
    RawOutput,
    StdoutOutput,
    SyslogOutput,
)
from tsauditd.config.toml import DEFAULT_PATH, load_config, override

__all__ = [
    "DEFAULT_PATH",
    "Config",
    "Daemon",
    "Events",
    "FileOutput",
    "Kernel",
    "Output",
    "RawOutput",
    "StdoutOutput",
    "SyslogOutput",
    "load_config",
    "override",
]
