//! `container` and `orchestrator`: the container that a process is in, and what its runtime knows of it.

use crate::container::Container;
use crate::ecs::pen::Pen;
use crate::json::{self, Object};
use crate::process::program::whole_characters;

/// What a runtime knows of a container. What is not known is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Details {
    /// The runtime, where the control group does not tell.
    pub runtime: String,
    /// The container's name.
    pub name: String,
    /// The image as its user names it: `registry/name:tag@digest`, with the last two left out at will.
    pub image: String,
    /// Labels, which are also Kubernetes' ones of a pod where the runtime has them.
    pub labels: Vec<(String, String)>,
    /// The Kubernetes pod's name.
    pub pod: String,
    /// Its uid.
    pub pod_uid: String,
    /// Its namespace.
    pub namespace: String,
}

/// A container's members of an event, without a comma before them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rendered {
    /// `"container":{...},"orchestrator":{...}`; empty for a container that is only claimed.
    pub top: Vec<u8>,
    /// `"container":{...}` of the object `tsauditd`: a container that is only claimed.
    pub own: Vec<u8>,
}

/// Writes the members of the event for a container.
pub(super) fn write(pen: &mut Pen<'_>, top: &Object, container: &Container) {
    match pen.system.container(container) {
        Some(rendered) => top.insert(pen.out, &rendered.top),
        None => top.insert(pen.out, &Rendered::new(container, &Details::default()).top),
    }
}

/// Writes the member of `tsauditd` for a container that is only claimed.
pub(super) fn claim(pen: &mut Pen<'_>, object: &Object, container: &Container) {
    match pen.system.container(container) {
        Some(rendered) => object.insert(pen.out, &rendered.own),
        None => object.insert(pen.out, &Rendered::new(container, &Details::default()).own),
    }
}

/// Labels written of one container, and the bytes of a text; more is cut.
const MOST_LABELS: usize = 64;
const LONGEST_TEXT: usize = 1 << 10;

impl Rendered {
    /// Writes what is known. Fields are ECS's `container.*` and `orchestrator.*`.
    #[must_use]
    pub fn new(container: &Container, details: &Details) -> Self {
        let mut out = Vec::with_capacity(256);
        let members = Object::inner(&out);
        let object = Object::member(&mut out, &members, "container");
        text(&mut out, &object, "id", &container.id);
        let runtime = match container.runtime {
            "" => details.runtime.as_str(),
            runtime => runtime,
        };
        text(&mut out, &object, "runtime", runtime);
        if container.claimed {
            object.close(&mut out);
            return Self {
                top: Vec::new(),
                own: out,
            };
        }
        text(&mut out, &object, "name", &details.name);
        let image = Image::of(&details.image);
        let inner = Object::member(&mut out, &object, "image");
        text(&mut out, &inner, "name", image.name);
        list(&mut out, &inner, "tag", image.tag);
        let hash = Object::member(&mut out, &inner, "hash");
        list(&mut out, &hash, "all", image.digest);
        hash.close(&mut out);
        inner.close(&mut out);
        labels(&mut out, &object, &details.labels);
        object.close(&mut out);
        let pod_uid = container.pod.as_deref().unwrap_or(&details.pod_uid);
        if !(pod_uid.is_empty() && details.pod.is_empty()) {
            let object = Object::member(&mut out, &members, "orchestrator");
            text(&mut out, &object, "type", "kubernetes");
            text(&mut out, &object, "namespace", &details.namespace);
            let resource = Object::member(&mut out, &object, "resource");
            text(&mut out, &resource, "type", "pod");
            text(&mut out, &resource, "id", pod_uid);
            text(&mut out, &resource, "name", &details.pod);
            resource.close(&mut out);
            object.close(&mut out);
        }
        Self {
            top: out,
            own: Vec::new(),
        }
    }
}

fn cut(value: &str) -> &[u8] {
    let head = value.as_bytes().get(..LONGEST_TEXT);
    head.map_or(value.as_bytes(), whole_characters)
}

fn text(out: &mut Vec<u8>, object: &Object, name: &str, value: &str) {
    if !value.is_empty() {
        object.name(out, name);
        json::string(out, cut(value));
    }
}

fn list(out: &mut Vec<u8>, object: &Object, name: &str, value: &str) {
    if !value.is_empty() {
        object.name(out, name);
        out.push(b'[');
        json::string(out, cut(value));
        out.push(b']');
    }
}

/// Writes the labels. A dot would make a label the parent of another (`app`, `app.kubernetes.io/name`), which no index
/// takes: it becomes `_`, as in Beats. Of names that are then the same but for case the first counts.
fn labels(out: &mut Vec<u8>, parent: &Object, labels: &[(String, String)]) {
    let object = Object::member(out, parent, "labels");
    let mut written: Vec<String> = Vec::new();
    for (name, value) in labels {
        let name: String = name.chars().take(256).collect::<String>().replace('.', "_");
        let folded = name.to_lowercase();
        if name.is_empty() || written.contains(&folded) {
            continue;
        }
        if written.len() == MOST_LABELS {
            break;
        }
        written.push(folded);
        object.label(out, name.as_bytes());
        json::string(out, cut(value));
    }
    object.close(out);
}

/// The parts of an image's name (the distribution project's reference grammar).
#[derive(Debug, PartialEq, Eq)]
struct Image<'a> {
    name: &'a str,
    tag: &'a str,
    digest: &'a str,
}

impl<'a> Image<'a> {
    fn of(text: &'a str) -> Self {
        let (rest, digest) = text.split_once('@').unwrap_or((text, ""));
        let slash = rest.rfind('/').map_or(0, |slash| slash + 1);
        // A colon before the last slash is a port's.
        let last = rest.get(slash..).unwrap_or_default();
        let (name, tag) = match last.split_once(':') {
            Some((last, tag)) => (rest.get(..slash + last.len()).unwrap_or(rest), tag),
            None => (rest, ""),
        };
        Self { name, tag, digest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_has_a_name_a_tag_and_a_digest() {
        for (text, name, tag, digest) in [
            ("nginx", "nginx", "", ""),
            ("nginx:1.25", "nginx", "1.25", ""),
            ("localhost:5000/a/b", "localhost:5000/a/b", "", ""),
            ("localhost:5000/a/b:v1", "localhost:5000/a/b", "v1", ""),
            ("r.io/a@sha256:00", "r.io/a", "", "sha256:00"),
            ("r.io/a:1@sha256:00", "r.io/a", "1", "sha256:00"),
            ("", "", "", ""),
        ] {
            assert_eq!(Image::of(text), Image { name, tag, digest }, "{text}");
        }
    }

    fn written(container: &Container, details: &Details) -> (serde_json::Value, serde_json::Value) {
        let rendered = Rendered::new(container, details);
        let parse = |members: &[u8]| {
            let text = [b"{", members, b"}"].concat();
            serde_json::from_slice(&text).unwrap()
        };
        (parse(&rendered.top), parse(&rendered.own))
    }

    #[test]
    fn everything_known_is_written() {
        let container = Container {
            id: "abc".into(),
            runtime: "containerd",
            pod: Some("uid".into()),
            claimed: false,
        };
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let details = Details {
            runtime: "docker".into(),
            name: "web \"1\"".into(),
            image: "r.io/web:1.2".into(),
            labels: vec![
                label("app.kubernetes.io/name", "web"),
                label("app", "x"),
                label("App", "y"),
            ],
            pod: "web-0".into(),
            pod_uid: "other".into(),
            namespace: "shop".into(),
        };
        let (top, own) = written(&container, &details);
        assert_eq!(own, serde_json::json!({}));
        assert_eq!(
            top,
            serde_json::json!({
                "container": {
                    "id": "abc", "runtime": "containerd", "name": "web \"1\"",
                    "image": {"name": "r.io/web", "tag": ["1.2"]},
                    "labels": {"app_kubernetes_io/name": "web", "app": "x"},
                },
                "orchestrator": {
                    "type": "kubernetes", "namespace": "shop",
                    "resource": {"type": "pod", "id": "uid", "name": "web-0"},
                },
            })
        );
        let plain = Container {
            pod: None,
            ..container.clone()
        };
        let (top, _) = written(&plain, &Details::default());
        let id = serde_json::json!({"id": "abc", "runtime": "containerd"});
        assert_eq!(top, serde_json::json!({"container": id}));
        let claimed = Container {
            claimed: true,
            ..plain
        };
        let (top, own) = written(&claimed, &details);
        assert_eq!(top, serde_json::json!({}));
        assert_eq!(own, serde_json::json!({"container": id}));
    }

    #[test]
    fn much_is_cut() {
        let long = "é".repeat(2_000);
        let details = Details {
            name: long.clone(),
            labels: (0..200)
                .map(|number| (format!("{number}{long}"), long.clone()))
                .collect(),
            ..Details::default()
        };
        let container = Container {
            id: "abc".into(),
            runtime: "",
            pod: None,
            claimed: false,
        };
        let (top, _) = written(&container, &details);
        assert_eq!(
            top["container"]["labels"].as_object().unwrap().len(),
            MOST_LABELS
        );
        assert!(Rendered::new(&container, &details).top.len() < 128 << 10);
    }
}
