use super::{Container, Launch, is_nowhere, is_payload, launches, of_cgroup, possible_name};

const A: &str = "4b2f5e0c1d9a8b7c6f3e2d1c0b9a8f7e6d5c4b3a2f1e0d9c8b7a6f5e4d3c2b1a";
const B: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";
const POD: &str = "1d1e1ab4-9b3b-4c5f-8b8d-6d9f6e8f1a2b";
const POD_: &str = "1d1e1ab4_9b3b_4c5f_8b8d_6d9f6e8f1a2b";
const STATIC_POD: &str = "5d1f9b6c0a4e4d6d8f7a2b1c3d4e5f60";

fn text(path: &str) -> String {
    path.replace("STATIC", STATIC_POD)
        .replace("POD_", POD_)
        .replace("POD", POD)
        .replace('A', A)
        .replace('B', B)
}

fn found(cgroup: &str) -> Option<(String, &'static str, Option<String>, bool)> {
    of_cgroup(text(cgroup).as_bytes()).map(
        |Container {
             id,
             runtime,
             pod,
             claimed,
         }| (id, runtime, pod, claimed),
    )
}

/// Each form: what the kernel shows, and what it says. A and B are ids, POD is a pod's.
#[test]
fn every_form_is_known() {
    let v1 = "12:pids:/docker/A\n11:cpu,cpuacct:/docker/A\n1:name=systemd:/docker/A\n0::/system.slice/docker.service\n";
    let hybrid =
        "9:name=systemd:/hand\n4:memory:/libpod_parent/libpod-A\n0::/libpod_parent/libpod-A\n";
    #[rustfmt::skip]
    let rows = [
        ("0::/system.slice/docker-A.scope", "A", "docker", ""),
        (v1, "A", "docker", ""),
        ("0::/docker/A", "A", "docker", ""),
        ("0::/system.slice/docker.service/docker/A", "A", "docker", ""),
        ("0::/system.slice:docker:A", "A", "docker", ""),
        ("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/docker-A.scope", "A", "docker", POD),
        ("0::/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-podPOD_.slice/cri-containerd-A.scope", "A", "containerd", POD),
        ("0::/kubepods.slice/kubepods-podPOD_.slice/cri-containerd-A.scope", "A", "containerd", POD),
        ("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podSTATIC.slice/cri-containerd-A.scope", "A", "containerd", STATIC_POD),
        ("11:cpu:/kubepods/besteffort/podPOD/A\n", "A", "", POD),
        ("11:cpu:/kubepods/podPOD/A\n", "A", "", POD),
        ("1:name=systemd:/system.slice/containerd.service/kubepods-burstable-podPOD_.slice:cri-containerd:A", "A", "containerd", POD),
        ("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/crio-A.scope", "A", "cri-o", POD),
        ("0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/crio-A.scope/container", "A", "cri-o", POD),
        ("11:cpu:/kubepods/burstable/podPOD/crio-A", "A", "cri-o", POD),
        ("0::/k8s.io/A", "A", "containerd", ""),
        ("0::/default/demo", "demo", "containerd", ""),
        ("0::/default/A", "A", "containerd", ""),
        ("0::/system.slice/nerdctl-A.scope", "A", "containerd", ""),
        ("0::/machine.slice/libpod-A.scope", "A", "podman", ""),
        ("0::/machine.slice/libpod-A.scope/container", "A", "podman", ""),
        ("0::/machine.slice/machine-libpod_pod_B.slice/libpod-A.scope/container", "A", "podman", ""),
        ("0::/system.slice/web.service/libpod-payload-A", "A", "podman", ""),
        (hybrid, "A", "podman", ""),
        ("0::/lxc.payload.web1", "web1", "lxc", ""),
        ("0::/lxc.payload.web1/system.slice/cron.service", "web1", "lxc", ""),
        ("0::/lxc.payload/web1", "web1", "lxc", ""),
        ("4:memory:/lxc/100/ns/init.scope", "100", "lxc", ""),
        ("0::/machine.slice/machine-web\\x2d1.scope", "web-1", "systemd-nspawn", ""),
        ("0::/machine.slice/machine-web.scope/payload/init.scope", "web", "systemd-nspawn", ""),
        ("0::/machine.slice/systemd-nspawn@web\\x2d1.service/payload", "web-1", "systemd-nspawn", ""),
        ("0::/system.slice/runc-hand.scope", "hand", "runc", ""),
        ("0::/user.slice/crun-hand.scope", "hand", "crun", ""),
        ("0::/system.slice/docker.service/docker/buildkit/3k2j1h4g5f6d7s8a9", "3k2j1h4g5f6d7s8a9", "buildkit", ""),
        ("3:cpuset:/ecs/0123456789abcdef0123456789abcdef/A", "A", "", ""),
        ("0::/actions_job/A", "A", "", ""),
        ("0::/system.slice/docker-A.scope (deleted)", "A", "docker", ""),
        ("0::/user.slice/user-0.slice/user@0.service/app.slice/docker-A.scope", "A", "docker", ""),
        // a cgroup namespace of the reader's own shows paths from there
        ("0::/../cri-containerd-A.scope", "A", "containerd", ""),
    ];
    for (cgroup, id, runtime, pod) in rows {
        let expected = (
            text(id),
            runtime,
            (!pod.is_empty()).then(|| pod.to_owned()),
            false,
        );
        assert_eq!(found(cgroup), Some(expected), "{cgroup}");
    }
}

#[test]
fn the_host_has_no_container() {
    for cgroup in [
        "",
        "0::/",
        "0::/init.scope",
        "0::/system.slice/docker.service",
        "0::/system.slice/containerd.service",
        "0::/system.slice/docker-proxy.scope",
        "0::/user.slice/user-1000.slice/session-3.scope",
        "0::/user.slice/user-1000.slice/user@1000.service/app.slice/dbus.service",
        "0::/machine.slice/libpod-conmon-A.scope",
        "0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
        "0::/machine.slice/machine-qemu\\x2d1\\x2dvm.scope/libvirt/emulator",
        "0::/machine.slice/machine-web.scope/supervisor",
        "0::/machine.slice/systemd-nspawn@web.service/supervisor",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice/crio-conmon-A.scope",
        "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podPOD_.slice",
        "0::/lxc.monitor.web1",
        "0::/lxc.monitor/web1",
        "4:memory:/process_api/1375c817efb271a8a86686895e8498c4",
        "0::/docker",
        "0::/docker/short",
        "0::/system.slice/some.service/default/demo",
        "garbage",
        "::",
        "0::",
        "\n\n0:\n",
    ] {
        assert_eq!(found(cgroup), None, "{cgroup}");
    }
    assert_eq!(of_cgroup(b"0::/docker/\xff\xfe"), None);
}

#[test]
fn the_outermost_container_counts() {
    for (cgroup, id, runtime) in [
        (
            "0::/docker/A/kubelet/kubepods/burstable/podPOD/B",
            A,
            "docker",
        ),
        (
            "0::/system.slice/docker-A.scope/system.slice/docker-B.scope",
            A,
            "docker",
        ),
        ("0::/lxc.payload.outer/lxc.payload.inner", "outer", "lxc"),
        (
            "0::/lxc.payload.outer/user.slice/user@5.service/docker/A",
            "outer",
            "lxc",
        ),
        // conmon's own group in a container that podman runs in
        (
            "0::/docker/A/machine.slice/libpod-conmon-B.scope",
            A,
            "docker",
        ),
    ] {
        let expected = Some((id.to_owned(), runtime, None, false));
        assert_eq!(found(cgroup), expected, "{cgroup}");
    }
}

#[test]
fn what_a_user_names_is_marked() {
    let service = "0::/user.slice/user-1000.slice/user@1000.service";
    for below in [
        "user.slice/libpod-A.scope/container",
        "app.slice/docker-A.scope",
        "docker/A",
        "kubepods/podPOD/A",
        "kubepods.slice/cri-containerd-A.scope",
    ] {
        let container = found(&format!("{service}/{below}"));
        assert!(
            container.is_some_and(|(id, _, _, claimed)| id == A && claimed),
            "{below}"
        );
    }
    assert!(found("4:memory:/user/bob/0/docker/A").is_some_and(|(.., claimed)| claimed));
    assert_eq!(found(&format!("{service}/default/demo")), None);
}

#[test]
fn a_bare_group_may_be_a_container_of_that_name() {
    for (cgroup, name) in [
        (
            "9:name=systemd:/hand1\n4:memory:/somewhere/hand1\n0::/hand1\n",
            Some("hand1"),
        ),
        (
            "0::/user.slice/user-0.slice/session-3.scope/hand1",
            Some("hand1"),
        ),
        ("0::/hand1 (deleted)", Some("hand1")),
        ("0::/", None),
        ("0::/init.scope", None),
        ("0::/system.slice/cron.service", None),
        (
            "0::/user.slice/user-1000.slice/user@1000.service/hand1",
            None,
        ),
        ("0::/user/bob/0", None),
        ("0::/..", None),
        ("", None),
    ] {
        assert_eq!(possible_name(cgroup.as_bytes()), name, "{cgroup}");
    }
}

#[test]
fn no_text_makes_it_fail() {
    let pieces = [
        "0::",
        "/",
        "docker-",
        ".scope",
        A,
        ":",
        "\n",
        "pod",
        "kubepods",
        "-",
        "machine-",
        "machine.slice",
        "\\x",
        "\\x2",
        "\\x2d",
        "é",
        "lxc",
        "user@",
        "",
        " (deleted)",
    ];
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut made = String::new();
        for _ in 0..8 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            made.push_str(pieces[(seed >> 33) as usize % pieces.len()]);
        }
        if let Some(container) = of_cgroup(made.as_bytes()) {
            assert!(!container.id.is_empty() && container.id.len() <= 255);
        }
        let _ = possible_name(made.as_bytes());
    }
}

#[test]
fn a_runtimes_command_line_names_the_container() {
    #[rustfmt::skip]
    let rows = [
        ("/usr/bin/runc", "runc run hand", "hand", "runc"),
        ("/usr/sbin/runc", "runc --root /run/x --debug run -d --bundle /b --pid-file=/p hand", "hand", "runc"),
        ("/usr/sbin/runc", "runc exec -u 0 --env A=b -t hand sh -c true", "hand", "runc"),
        ("/usr/sbin/runc", "runc --root /run/containerd/runc/moby --log /l --log-format json exec --process /tmp/p --detach --pid-file /f A", "A", ""),
        ("/usr/bin/runc", "/usr/bin/runc --systemd-cgroup create --bundle /b --pid-file /p A", "A", ""),
        ("/usr/bin/crun", "crun --cgroup-manager disabled start hand", "hand", "crun"),
        ("/usr/bin/conmon", "/usr/bin/conmon --api-version 1 -c A -u B -r /usr/bin/runc -b /x -n web --exit-command-arg -c", "A", ""),
        ("/usr/bin/containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2 -namespace moby -id A -address /s", "A", ""),
        ("/usr/bin/containerd-shim-runc-v2", "/usr/bin/containerd-shim-runc-v2 -namespace default -id demo -address /s", "demo", "containerd"),
        ("/usr/bin/lxc-start", "lxc-start -d --name=web", "web", "lxc"),
        ("/usr/bin/lxc-attach", "lxc-attach -P /var/lib/lxc web -- true", "web", "lxc"),
        ("/usr/bin/lxc-attach", "lxc-attach -n web -- ls -n other", "web", "lxc"),
        ("/usr/bin/lxc-start", "lxc-start -dn web", "web", "lxc"),
        ("/usr/bin/lxc-start", "lxc-start -dnweb", "web", "lxc"),
        ("/usr/bin/lxc-start", "lxc-start -dF -fconf web", "web", "lxc"),
        ("/usr/bin/lxc-execute", "lxc-execute -f conf -P /x web -- /bin/true", "web", "lxc"),
        ("/memfd:lxc-attach (deleted)", "lxc-attach -P /x -n web -- /bin/true", "web", "lxc"),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn -q -D /x -M web /bin/true", "web", "systemd-nspawn"),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn --machine=web -xD /x ls -M other", "web", "systemd-nspawn"),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn -bD /srv/web/", "web", "systemd-nspawn"),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn -E x=y --image /srv/web.raw -- ls", "web", "systemd-nspawn"),
    ];
    let shim = "runc --root /run/containerd/runc/default --log /l exec --process /p --detach hand";
    let launched = |executable: &str, line: &str| {
        let line = text(line);
        launches(executable.as_bytes(), line.split(' ').map(str::as_bytes))
    };
    for (executable, line, id, runtime) in rows {
        let expected = Launch {
            container: Container {
                id: text(id),
                runtime,
                pod: None,
                claimed: false,
            },
            joins: line.contains(" exec ") || executable.contains("lxc-attach"),
        };
        assert_eq!(launched(executable, line), Some(expected), "{line}");
    }
    let by_shim = Container::named("hand".into(), "containerd");
    let launch = launched("/usr/sbin/runc", shim).unwrap();
    assert_eq!((launch.container, launch.joins), (by_shim, true));
    for (executable, line) in [
        ("/usr/bin/runc", "runc list"),
        ("/usr/bin/runc", "runc init"),
        ("/usr/bin/runc", "runc state hand"),
        ("/usr/bin/runc", "runc exec"),
        ("/usr/bin/runc", "runc"),
        ("/usr/bin/runc", ""),
        ("/usr/bin/ls", "runc run hand"),
        ("/usr/bin/conmon", "conmon -c short"),
        (
            "/usr/bin/containerd-shim-runc-v2",
            "containerd-shim-runc-v2 -namespace k8s.io -id A",
        ),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn"),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn -D"),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn -xbD /srv/web"),
        ("/usr/bin/systemd-nspawn", "systemd-nspawn -D /"),
        ("/usr/bin/lxc-start", "lxc-start -dn"),
    ] {
        assert_eq!(launched(executable, line), None, "{line}");
    }
}

#[test]
fn what_nspawn_runs_in_a_unit_has_no_name() {
    for path in ["/payload", "/system.slice/web.service/payload/init.scope"] {
        assert!(is_payload(format!("0::{path}\n").as_bytes()), "{path}");
    }
    assert!(!is_payload(b"0::/system.slice/payload.service\n"));
}

#[test]
fn an_exiting_process_is_nowhere() {
    assert!(is_nowhere(b"9:name=systemd:/\n8:pids:/\n"));
    assert!(is_nowhere(b""));
    assert!(!is_nowhere(b"9:name=systemd:/\n0::/init.scope\n"));
}
