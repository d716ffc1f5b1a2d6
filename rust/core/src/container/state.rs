//! What the runtimes write down about their containers, read from the bytes of their files.

use std::borrow::Cow;

use serde_json::{Map, Value};

use crate::container::{bolt, sqlite};
use crate::ecs::container::Details;

/// Fills what is empty in `to`.
pub fn complete(to: &mut Details, from: Details) {
    for (to, from) in [
        (&mut to.runtime, from.runtime),
        (&mut to.name, from.name),
        (&mut to.image, from.image),
        (&mut to.pod, from.pod),
        (&mut to.pod_uid, from.pod_uid),
        (&mut to.namespace, from.namespace),
    ] {
        if to.is_empty() {
            *to = from;
        }
    }
    if to.labels.is_empty() {
        to.labels = from.labels;
    }
}

fn object(bytes: &[u8]) -> Option<Map<String, Value>> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(object)) => Some(object),
        _ => None,
    }
}

fn text(object: &Map<String, Value>, name: &str) -> String {
    object
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

fn texts(value: Option<&Value>) -> Vec<(String, String)> {
    let members = value.and_then(Value::as_object).into_iter().flatten();
    members
        .filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())))
        .collect()
}

fn find(labels: &[(String, String)], names: &[&str]) -> String {
    let find = |name: &&str| labels.iter().find(|(label, _)| label == name);
    let found = names.iter().find_map(find);
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// Docker's `containers/ID/config.v2.json` (moby `container.Container`).
#[must_use]
pub fn docker(bytes: &[u8]) -> Option<Details> {
    let whole = object(bytes)?;
    let config = whole.get("Config")?.as_object()?;
    let labels = texts(config.get("Labels"));
    let name = text(&whole, "Name");
    Some(Details {
        runtime: "docker".into(),
        name: name.strip_prefix('/').unwrap_or(&name).to_owned(),
        image: text(config, "Image"),
        pod: find(&labels, &["io.kubernetes.pod.name"]),
        pod_uid: find(&labels, &["io.kubernetes.pod.uid"]),
        namespace: find(&labels, &["io.kubernetes.pod.namespace"]),
        labels,
    })
}

/// Annotations by which the runtimes above runc say what a container is: containerd
/// `internal/cri/annotations/annotations.go`, CRI-O `pkg/annotations`, nerdctl `pkg/labels`.
const NAME: &[&str] = &[
    "io.kubernetes.cri.container-name",
    "io.kubernetes.container.name",
    "nerdctl/name",
];
const IMAGE: &[&str] = &[
    "io.kubernetes.cri.image-name",
    "io.kubernetes.cri-o.ImageName",
    "io.kubernetes.cri-o.Image",
];
const POD: &[&str] = &["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"];
const POD_UID: &[&str] = &["io.kubernetes.cri.sandbox-uid", "io.kubernetes.pod.uid"];
const NAMESPACE: &[&str] = &[
    "io.kubernetes.cri.sandbox-namespace",
    "io.kubernetes.pod.namespace",
];
/// A JSON object in a text.
const LABELS: &str = "io.kubernetes.cri-o.Labels";

/// The beginnings of annotations that are no labels of a user's.
const INTERNAL: &[&str] = &[
    "io.kubernetes.cri.",
    "io.kubernetes.cri-o.",
    "io.container.manager",
    "io.podman.",
    "org.opencontainers.image.stopSignal",
    "nerdctl/",
    "run.oci.",
];

/// A bundle's `config.json` (OCI runtime specification, config.md): its annotations.
#[must_use]
pub fn bundle(bytes: &[u8]) -> Option<Details> {
    let whole = object(bytes)?;
    let notes = texts(whole.get("annotations"));
    let runtime = match find(&notes, &["io.container.manager"]).as_str() {
        "libpod" => "podman",
        "cri-o" => "cri-o",
        _ => "",
    };
    let own = texts(
        object(find(&notes, &[LABELS]).as_bytes())
            .map(Value::Object)
            .as_ref(),
    );
    // The kubelet's are said twice, or only in the labels.
    let said = |names| match find(&notes, names) {
        text if text.is_empty() => find(&own, names),
        text => text,
    };
    let mut details = Details {
        runtime: runtime.into(),
        name: said(NAME),
        image: find(&notes, IMAGE),
        pod: said(POD),
        pod_uid: said(POD_UID),
        namespace: said(NAMESPACE),
        labels: own,
    };
    if details.labels.is_empty() {
        let is_label = |name: &str| !INTERNAL.iter().any(|start| name.starts_with(start));
        details.labels = notes;
        details.labels.retain(|(name, _)| is_label(name));
    }
    Some(details)
}

/// The container `id` in `containers.json` of containers/storage, which podman and CRI-O use (`store.go`, `Container`).
#[must_use]
pub fn storage(bytes: &[u8], id: &str) -> Option<Details> {
    let all: Value = serde_json::from_slice(bytes).ok()?;
    let one = all
        .as_array()?
        .iter()
        .filter_map(Value::as_object)
        .find(|one| one.get("id").and_then(Value::as_str) == Some(id))?;
    let metadata = object(text(one, "metadata").as_bytes()).unwrap_or_default();
    let names = one.get("names").and_then(Value::as_array);
    let first = names
        .and_then(|names| names.first())
        .and_then(Value::as_str);
    Some(Details {
        name: first.map_or_else(|| text(&metadata, "name"), str::to_owned),
        image: text(&metadata, "image-name"),
        ..Details::default()
    })
}

/// The container `id` in podman's database: `bolt_state.db` (podman `libpod/boltdb_state_internal.go`), or `db.sql`
/// (`libpod/sqlite_state_internal.go`). Its configuration is JSON in both (`libpod.ContainerConfig`).
#[must_use]
pub fn podman(database: &[u8], id: &str) -> Option<Details> {
    let bolted = bolt::find(database, &[b"ctr", id.as_bytes(), b"config"]);
    let value = match bolted {
        Some(value) => Cow::Borrowed(value),
        None => Cow::Owned(sqlite::find(database, "ContainerConfig", id, 3)?),
    };
    let whole = object(&value)?;
    (text(&whole, "id") == id).then(|| Details {
        name: text(&whole, "name"),
        image: text(&whole, "rootfsImageName"),
        labels: texts(whole.get("labels")),
        ..Details::default()
    })
}

/// The bundle's directory in runc's `state.json` (libcontainer `State`, label `bundle=`) or crun's `status`.
#[must_use]
pub fn bundle_directory(bytes: &[u8]) -> Option<String> {
    let whole = object(bytes)?;
    let labels = whole
        .get("config")
        .and_then(|config| config.get("labels"))
        .and_then(Value::as_array);
    let mut labels = labels.into_iter().flatten().filter_map(Value::as_str);
    let told = labels.find_map(|label| label.strip_prefix("bundle="));
    let path = told.map_or_else(|| text(&whole, "bundle"), str::to_owned);
    let absolute = path.starts_with('/') && !path.split('/').any(|part| part == "..");
    absolute.then_some(path)
}

/// A machine in `/run/systemd/machines` (systemd `machine_save`): the image is what its root directory is called.
#[must_use]
pub fn machine(bytes: &[u8]) -> Option<Details> {
    let text = std::str::from_utf8(bytes).ok()?;
    let value = |name: &str| {
        let mut lines = text.lines();
        lines.find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
    };
    let root = value("ROOT").unwrap_or_default();
    Some(Details {
        name: value("NAME").unwrap_or_default().to_owned(),
        image: root.rsplit('/').next().unwrap_or_default().to_owned(),
        ..Details::default()
    })
}

/// `graphroot` of containers/storage's `storage.conf`, or `data-root` of docker's `daemon.json`.
#[must_use]
pub fn root(bytes: &[u8]) -> Option<String> {
    if let Some(whole) = object(bytes) {
        return Some(text(&whole, "data-root")).filter(|root| root.starts_with('/'));
    }
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines().find_map(|line| {
        let value = line.trim().strip_prefix("graphroot")?.trim_start();
        let value = value.strip_prefix('=')?.trim().strip_prefix('"')?;
        let (root, _) = value.split_once('"')?;
        root.starts_with('/').then(|| root.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_tells_name_image_and_labels() {
        let text = br#"{"ID":"ab","Name":"/web","Image":"sha256:00","Config":{"Hostname":"h","Image":"nginx:1.25",
            "Labels":{"com.docker.compose.project":"shop","io.kubernetes.pod.name":"web-0","io.kubernetes.pod.uid":"u",
            "io.kubernetes.pod.namespace":"default","odd":7}}}"#;
        let details = docker(text).unwrap();
        assert_eq!(
            (details.name.as_str(), details.image.as_str()),
            ("web", "nginx:1.25")
        );
        assert_eq!(
            (details.pod.as_str(), details.namespace.as_str()),
            ("web-0", "default")
        );
        assert_eq!(details.labels.len(), 4);
        assert_eq!(docker(br#"{"Name":"/web"}"#), None);
    }

    #[test]
    fn a_bundle_tells_what_its_annotations_do() {
        let containerd = br#"{"ociVersion":"1.0.2","annotations":{"io.kubernetes.cri.container-name":"app",
            "io.kubernetes.cri.container-type":"container","io.kubernetes.cri.image-name":"docker.io/library/nginx:1.25",
            "io.kubernetes.cri.sandbox-id":"00","io.kubernetes.cri.sandbox-name":"app-7d4b",
            "io.kubernetes.cri.sandbox-namespace":"shop","io.kubernetes.cri.sandbox-uid":"1d1e"}}"#;
        let details = bundle(containerd).unwrap();
        assert_eq!(
            details,
            Details {
                name: "app".into(),
                image: "docker.io/library/nginx:1.25".into(),
                pod: "app-7d4b".into(),
                pod_uid: "1d1e".into(),
                namespace: "shop".into(),
                ..Details::default()
            }
        );
        let crio = br#"{"annotations":{"io.container.manager":"cri-o","io.kubernetes.container.name":"app",
            "io.kubernetes.pod.name":"app-1","io.kubernetes.pod.namespace":"shop","io.kubernetes.cri-o.ImageName":"q.io/a:1",
            "io.kubernetes.cri-o.Labels":"{\"tier\":\"front\"}"}}"#;
        let details = bundle(crio).unwrap();
        assert_eq!(
            (details.runtime.as_str(), details.image.as_str()),
            ("cri-o", "q.io/a:1")
        );
        assert_eq!(details.labels, [("tier".to_owned(), "front".to_owned())]);
        let plain = br#"{"annotations":{"a":"b","nerdctl/name":"n","org.opencontainers.image.stopSignal":"15"}}"#;
        let details = bundle(plain).unwrap();
        assert_eq!(details.name, "n");
        assert_eq!(details.labels, [("a".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_crio_has_in_its_labels_alone_is_told_as_well() {
        let crio = br#"{"annotations":{"io.container.manager":"cri-o","io.kubernetes.cri-o.Image":"q.io/a:1",
            "io.kubernetes.cri-o.ContainerName":"k8s_app_app-1_shop_1d1e_0","io.kubernetes.cri-o.Labels":
            "{\"io.kubernetes.container.name\":\"app\",\"io.kubernetes.pod.name\":\"app-1\",
            \"io.kubernetes.pod.namespace\":\"shop\",\"io.kubernetes.pod.uid\":\"1d1e\",\"tier\":\"front\"}"}}"#;
        let crio: Vec<u8> = (crio.split(|byte| *byte == b'\n'))
            .flat_map(<[u8]>::trim_ascii)
            .copied()
            .collect();
        let details = bundle(&crio).unwrap();
        let found = [
            &details.name,
            &details.image,
            &details.pod,
            &details.pod_uid,
        ];
        assert_eq!(found, ["app", "q.io/a:1", "app-1", "1d1e"]);
        assert_eq!(details.namespace, "shop");
        assert_eq!(details.labels.len(), 5);
    }

    #[test]
    fn podman_s_databases_tell_the_same() {
        let database = include_bytes!("../../tests/podman.sqlite");
        let details = podman(database, &format!("{:064x}", 7)).unwrap();
        let found = [&details.name, &details.image];
        assert_eq!(found, ["box7", "localhost/box:v1"]);
        assert_eq!(details.labels[0].0, "app.example/tier");
        assert_eq!(podman(database, "none"), None);
    }

    #[test]
    fn the_storage_tells_name_and_image() {
        let text = br#"[{"id":"aa"},{"id":"bb","names":["web"],"metadata":
            "{\"image-name\":\"localhost/box:v1\",\"name\":\"other\"}"},{"id":"cc","metadata":"nonsense"}]"#;
        let details = storage(text, "bb").unwrap();
        assert_eq!(
            (details.name.as_str(), details.image.as_str()),
            ("web", "localhost/box:v1")
        );
        assert_eq!(storage(text, "cc"), Some(Details::default()));
        assert_eq!(storage(text, "dd"), None);
    }

    #[test]
    fn the_places_of_things_are_found() {
        let runc =
            br#"{"id":"x","init_process_pid":7,"config":{"labels":["a=b","bundle=/run/b"]}}"#;
        assert_eq!(bundle_directory(runc).as_deref(), Some("/run/b"));
        assert_eq!(
            bundle_directory(br#"{"pid":7,"bundle":"/b"}"#).as_deref(),
            Some("/b")
        );
        assert_eq!(bundle_directory(br#"{"pid":7,"bundle":"/b/../c"}"#), None);
        assert_eq!(bundle_directory(br#"{"pid":7}"#), None);
        let machine = machine(
            b"# written by systemd\nNAME=web\nCLASS=container\nROOT=/var/lib/machines/deb12\n",
        )
        .unwrap();
        assert_eq!(
            (machine.name.as_str(), machine.image.as_str()),
            ("web", "deb12")
        );
        assert_eq!(
            root(br#"{"data-root":"/srv/docker"}"#).as_deref(),
            Some("/srv/docker")
        );
        assert_eq!(
            root(b"[storage]\n# graphroot = \"/no\"\n graphroot = \"/srv/c\"\n").as_deref(),
            Some("/srv/c")
        );
        assert_eq!(root(b"{}"), None);
        assert_eq!(root(b""), None);
    }

    #[test]
    fn foreign_bytes_are_nothing() {
        let deep = [b'['; 100_000];
        for bytes in [&b"\xff\xfe"[..], b"", b"null", b"[]", b"{", b"\"x\"", &deep] {
            assert_eq!(docker(bytes), None);
            assert_eq!(bundle(bytes), None);
            assert_eq!(storage(bytes, "a"), None);
            assert_eq!(bundle_directory(bytes), None);
        }
    }
}
