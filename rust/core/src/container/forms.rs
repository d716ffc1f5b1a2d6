//! The names that container runtimes give to control groups, as data.

/// How the part that names a container is to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Id {
    /// 64 hexadecimal digits.
    Hex,
    /// Any name a runtime accepts.
    Name,
    /// The same, escaped as part of a systemd unit's name.
    Escaped,
    /// `SLICE:PREFIX:ID`: what a systemd path becomes where the runtime does not ask systemd.
    AfterColon,
}

/// One form of a group's name.
#[derive(Debug, Clone, Copy)]
pub(super) struct Form {
    /// What the group must be in: its parent's name, with `/` before it if that must be at the top; empty: anywhere.
    pub below: &'static str,
    pub prefix: &'static str,
    pub suffix: &'static str,
    pub id: Id,
    pub runtime: &'static str,
}

pub(super) const NSPAWN: &str = "systemd-nspawn";

const fn form(
    below: &'static str,
    prefix: &'static str,
    suffix: &'static str,
    id: Id,
    runtime: &'static str,
) -> Form {
    Form {
        below,
        prefix,
        suffix,
        id,
        runtime,
    }
}

/// The forms; the first that fits counts. Sources: moby `daemon/oci_linux.go`, containerd `internal/cri` and nerdctl
/// `pkg/cmd/container`, podman `libpod/container_internal_linux.go` (conmon's own group is `libpod-conmon-ID`, which no
/// form fits), CRI-O `internal/config/cgmgr`, runc `libcontainer/specconv`, crun `src/libcrun/cgroup.c`, LXC
/// `src/lxc/cgroups/cgfsng.c` (the monitor's is `lxc.monitor.NAME`), systemd `src/machine` and `src/nspawn`, kubelet
/// `pkg/kubelet/cm`.
#[rustfmt::skip]
pub(super) const FORMS: &[Form] = &[
    // runtimes that ask systemd for a scope
    form("", "docker-", ".scope", Id::Hex, "docker"),
    form("", "cri-containerd-", ".scope", Id::Hex, "containerd"),
    form("", "nerdctl-", ".scope", Id::Hex, "containerd"),
    form("", "libpod-", ".scope", Id::Hex, "podman"),
    form("", "crio-", ".scope", Id::Hex, "cri-o"),
    form("", "runc-", ".scope", Id::Name, "runc"),
    form("", "crun-", ".scope", Id::Name, "crun"),
    // and those that make directories
    form("docker", "", "", Id::Hex, "docker"),
    form("", "libpod-", "", Id::Hex, "podman"),
    form("", "libpod-payload-", "", Id::Hex, "podman"),
    form("", "crio-", "", Id::Hex, "cri-o"),
    form("/default", "", "", Id::Name, "containerd"),
    form("/k8s.io", "", "", Id::Name, "containerd"),
    form("", "", "", Id::AfterColon, "docker"),
    form("", "", "", Id::AfterColon, "containerd"),
    form("", "", "", Id::AfterColon, "cri-o"),
    form("", "", "", Id::AfterColon, "podman"),
    form("buildkit", "", "", Id::Name, "buildkit"),
    // those whose containers have names
    form("", "lxc.payload.", "", Id::Name, "lxc"),
    form("lxc.payload", "", "", Id::Name, "lxc"),
    form("lxc", "", "", Id::Name, "lxc"),
    form("machine.slice", "machine-", ".scope", Id::Escaped, NSPAWN),
    form("machine.slice", "systemd-nspawn@", ".service", Id::Escaped, NSPAWN),
    // an id alone: /kubepods/.../podUID/ID, /ecs/TASK/ID, whatever --cgroup-parent says
    form("", "", "", Id::Hex, ""),
];

/// The prefixes of scopes as they stand between colons.
pub(super) const POD_MANAGERS: &[(&str, &str)] = &[
    ("docker", "docker"),
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("crio", "cri-o"),
    ("libpod", "podman"),
];
