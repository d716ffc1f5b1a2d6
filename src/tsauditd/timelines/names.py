"""Which programs open sessions, change users, are shells, and what shells run by themselves: data only."""

import re

KINDS = {
    "sshd": "ssh",
    "sshd-session": "ssh",
    "sshd-auth": "ssh",
    "dropbear": "ssh",
    "login": "console",
    "agetty": "console",
    "gdm-session-worker": "console",
    "lightdm": "console",
    "sddm-helper": "console",
    "greetd": "console",
    "xdm": "console",
    "cron": "cron",
    "crond": "cron",
    "anacron": "cron",
    "atd": "at",
    "systemd": "systemd-user",
    "systemd-executor": "systemd-user",
    "su": "su",
    "runuser": "su",
    "sudo": "sudo",
    "doas": "sudo",
    "runc": "container",
    "crun": "container",
    "containerd-shim-runc-v2": "container",
    "conmon": "container",
}
"""The program that set the login id: the kind of the session."""

ESCALATIONS = frozenset({"sudo", "sudoedit", "su", "runuser", "doas", "pkexec", "run0", "sg", "newgrp"})
"""Programs that are there to become somebody else; a refusal of theirs is an escalation refused."""

SHELLS = frozenset({"sh", "bash", "dash", "ash", "busybox", "zsh", "fish", "ksh", "mksh", "tcsh", "csh"})

HELPERS = frozenset({"unix_chkpwd", "unix_update", "pam_extrausers_chkpwd", "utempter"})
"""What PAM runs to log somebody in or change the user, and terminals to note that they are in use."""

SYSTEM = ("/usr/", "/bin/", "/sbin/", "/lib")
"""Where programs are that a person cannot have put there: what is elsewhere is never noise, whatever its name."""

STARTUP = re.compile(
    r"(?:\S*/)?(?:id -(?:u|un|g|gn)|dircolors\b.*|lesspipe|(?:base|dir)name \S*lesspipe|mesg [ny]|tput\b.*|"
    r"locale-check\b.*|locale$|/usr/bin/clear_console -q|clear_console -q|tty -s|stty -?ixon|"
    r"uname -[sm]|groups|hostname -s|readlink /proc/\d+/exe|grep -q \S* /proc/\S*|ls /etc/bash_completion\.d|"
    r"(?:/\S+/)?(?:manpath|flatpak --installations)\b.*)$"
)
"""What Debian's, Fedora's and SUSE's /etc/profile, bashrc and bash_logout run."""

MANAGER = re.compile(
    r"(?:/usr)?/lib/systemd/(?:user-|systemd-)\S+.*|/usr/bin/dbus-(?:daemon|broker\S*) .*|"
    r"(?:/usr)?/bin/systemctl --user (?:set|import)-environment\b.*$"
)
"""What systemd --user runs when it starts: the program's file, and its arguments."""

COMPLETION = re.compile(
    r"(?:\S*/)?(?:apt-cache --no-generate .*|getent (?:passwd|group|hosts)$|man -w.*|compgen\b.*|"
    r"systemctl (?:--\S+ )*(?:--full )?(?:list-units|list-unit-files) .*--(?:no-legend|plain)\b.*|"
    r"git (?:--\S+ )*(?:for-each-ref|config --(?:name-only --)?(?:list|get-regexp)|--list-cmds=).*|"
    r"docker .*--format \{\{.*|python3? -m argcomplete.*|sed -n\w* .*COMPREPLY.*|_\w+ --complete\b.*)$"
)
"""What bash-completion and git's completion run when Tab is pressed."""

BY_ITSELF = frozenset(
    {
        "id", "dircolors", "lesspipe", "basename", "dirname", "mesg", "tput", "locale-check", "locale", "clear_console",
        "tty", "stty", "uname", "groups", "hostname", "readlink", "grep", "ls", "manpath", "flatpak",
        "apt-cache", "getent", "man", "compgen", "systemctl", "git", "docker", "python", "python3", "sed",
    }
)  # fmt: skip
"""The programs of STARTUP and COMPLETION, but for those whose names begin with an underscore."""

REQUESTS = {
    "crontab": "cron",
    "at": "at",
    "batch": "at",
    "systemd-run": "systemd-user",
    "run0": "systemd-user",
    "machinectl": "container",
    "docker": "container",
    "podman": "container",
    "nerdctl": "container",
    "ctr": "container",
    "kubectl": "container",
    "lxc-attach": "container",
    "runc": "container",
    "crun": "container",
    "systemctl": "service",
    "service": "service",
}
"""Programs that have others start something for them: the kind of the session that comes of it."""

REQUEST_MS = {"cron": None, "at": None, "systemd-user": 10_000, "container": 10_000}
"""How long after the request its session may come, in milliseconds; None: whenever."""

JOINERS = frozenset({"lxc-attach"})
JOINING = frozenset({"exec", "shell", "login"})
"""Which of those that have to do with containers run something in one that runs already; by which word others do."""

ACCOUNTS = frozenset(
    {
        "add_user", "del_user", "user_mgmt", "user_chauthtok", "acct_lock", "acct_unlock", "add_group",
        "del_group", "grp_mgmt", "grp_chauthtok", "chgrp_id", "chuser_id", "role_assign", "role_remove", "role_modify",
    }
)  # fmt: skip
AUDIT = frozenset({"config_change", "event_listener", "feature_change", "usys_config"})
CONVERSATION = frozenset(
    {
        "user_auth", "user_acct", "user_cmd", "user_start", "user_end", "user_err", "user_login", "user_logout",
        "cred_acq", "cred_disp", "cred_refr", "crypto_session", "crypto_key_user", "login", "grp_auth",
        "user_role_change",
    }
)  # fmt: skip
"""What programs that log in or change users say of themselves."""

LOGIN_FAILURES = frozenset({"user_auth", "user_acct", "user_err", "user_login", "login"})
PRELUDES = frozenset(
    {"user_auth", "user_acct", "cred_acq", "user_start", "user_err", "user_login", "crypto_session"}
)
"""What comes, without a session number, from the process that LOGIN then gives one."""

IDENTITY = "changed-identity-of"
"""The action of setuid(2) and its kin."""

DENIED = frozenset({"EACCES", "EPERM"})
COUNTED = {
    "command": "commands",
    "escalation": "escalations",
    "connection": "connections",
    "file": "files",
    "account": "accounts",
    "audit": "audit",
    "service": "services",
    "module": "modules",
    "failure": "failures",
    "input": "inputs",
}
"""The row's kind: its count in the summary."""

NOTABLE = frozenset({"escalation", "account", "audit", "module", "failure", "loss", "blind", "link"})
