//! The container that a runtime's command line is about. What such a program starts is in that container, also when it
//! has ended before anyone could look at its control group.

use super::{Container, forms, is_long_hex, is_name};

/// Where a runtime's command line names the container.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// The first word behind one of the commands that start a process (the runtime specification's command line).
    Command,
    /// The value of one of the options, or else the first word that is none. Letters may stand together (getopt(3)).
    OptionOrWord(&'static [&'static str]),
    /// The value of one of the options.
    Option(&'static [&'static str]),
    /// systemd-nspawn(1): `--machine`, or else what the directory or the image is called.
    Machine,
}

/// The programs whose children are a container's processes, and the runtime that a name
/// (rather than an id that a higher runtime gave) belongs to.
#[rustfmt::skip]
const LAUNCHERS: &[(&str, Place, &str)] = &[
    ("runc", Place::Command, "runc"),
    ("crun", Place::Command, "crun"),
    ("conmon", Place::Option(&["-c", "--cid"]), ""),
    ("containerd-shim-runc-v2", Place::Option(&["-id"]), "containerd"),
    ("lxc-start", Place::OptionOrWord(&["-n", "--name"]), "lxc"),
    ("lxc-execute", Place::OptionOrWord(&["-n", "--name"]), "lxc"),
    ("lxc-attach", Place::OptionOrWord(&["-n", "--name"]), "lxc"),
    ("systemd-nspawn", Place::Machine, forms::NSPAWN),
];

/// What else runs beside a container as part of its runtime.
const HELPERS: &[&str] = &[
    "podman",
    "docker-proxy",
    "fuse-overlayfs",
    "slirp4netns",
    "pasta",
    "netavark",
    "aardvark-dns",
];

/// What `runc init` runs from, a copy of runc in memory (libcontainer/dmz), is called in its records and in /proc.
const COPIES: &[&str] = &["/", "/memfd:runc_cloned:/proc/self/exe", "/memfd:libcrun"];

/// Whether a program is a runtime's own: what it starts may be in a container, it itself is not, or not yet.
#[must_use]
pub fn is_runtime(executable: &[u8]) -> bool {
    let (path, name) = program(executable);
    let launchers = LAUNCHERS.iter().map(|(launcher, ..)| launcher);
    launchers
        .chain(HELPERS)
        .any(|known| known.as_bytes() == name)
        || COPIES.iter().any(|copy| copy.as_bytes() == path)
        || path.starts_with(b"/proc/self/fd/")
}

/// The path of a program and its name. lxc-attach and crun run from a copy in memory that is called like them, against
/// what a container could do to the file (CVE-2019-5736).
fn program(executable: &[u8]) -> (&[u8], &[u8]) {
    let path = executable.strip_suffix(b" (deleted)").unwrap_or(executable);
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    (path, name.strip_prefix(b"memfd:").unwrap_or(name))
}

const COMMANDS: &[&str] = &["run", "create", "start", "exec", "restore"];

/// Options of all these that take a value as a word of its own (the programs' `--help`).
const VALUED: &[&str] = &[
    "--root",
    "--log",
    "--log-format",
    "--log-level",
    "--criu",
    "--rootless",
    "--cgroup-manager",
    "--bundle",
    "-b",
    "--config",
    "-f",
    "--console-socket",
    "--pid-file",
    "--preserve-fds",
    "--cwd",
    "--env",
    "-e",
    "--user",
    "-u",
    "--additional-gids",
    "-g",
    "--process",
    "-p",
    "--process-label",
    "--apparmor",
    "--cap",
    "-c",
    "--cgroup",
    "--image-path",
    "--work-path",
    "--lsm-profile",
    "--rcfile",
    "--logfile",
    "-o",
    "--logpriority",
    "-l",
    "--define",
    "-s",
    "--lxcpath",
    "-P",
    "--elevated-privileges",
    "--arch",
    "-a",
    "--namespaces",
    "-R",
    "--set-var",
    "-v",
    "--keep-var",
];

/// The namespace of containerd in which one shim serves all containers of a pod: its name alone tells too little.
const PODS: &str = "k8s.io";

/// What a runtime's program starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// The container in which.
    pub container: Container,
    /// The container runs already, and somebody has a program more run in it.
    pub joins: bool,
}

/// The container whose processes a program starts, by the file that it is and its arguments from the program's name on.
/// The ids of docker, podman and the like are told without the runtime.
#[must_use]
pub fn launches<'a>(
    executable: &[u8],
    arguments: impl Iterator<Item = &'a [u8]> + Clone,
) -> Option<Launch> {
    let (_, name) = program(executable);
    let (launcher, place, runtime) = LAUNCHERS
        .iter()
        .find(|(launcher, ..)| launcher.as_bytes() == name)?;
    // A text that is not UTF-8 is no option and no id.
    let words = arguments
        .skip(1)
        .map(|word| std::str::from_utf8(word).unwrap_or("?"));
    let (command, id) = match place {
        Place::Machine => ("", machine(words.clone())?),
        _ => find(*place, words.clone())?,
    };
    let joins = command == "exec" || *launcher == "lxc-attach";
    let long = is_long_hex(id);
    let shim = words
        .clone()
        .zip(words.skip(1))
        .any(|(option, root)| option == "--root" && root.contains("/containerd/"));
    let runtime = if shim { "containerd" } else { runtime };
    (long || !runtime.is_empty() && is_name(id)).then(|| Launch {
        container: Container::named(id.to_owned(), if long { "" } else { runtime }),
        joins,
    })
}

/// The value of an option among letters that stand together: behind it, or else the next word. `None` if it is not there;
/// what takes a value itself ends the letters, and takes the next word if none is left.
fn among<'a>(
    letters: &'a str,
    named: &[&str],
    words: &mut impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    for (place, letter) in letters.char_indices() {
        let option =
            |known: &&str| known.strip_prefix('-') == Some(letter.encode_utf8(&mut [0; 4]));
        let is_named = named.iter().any(option);
        if is_named || VALUED.iter().any(option) {
            let rest = letters.get(place + letter.len_utf8()..).unwrap_or_default();
            let value = if rest.is_empty() {
                words.next()
            } else {
                Some(rest)
            };
            return value.filter(|_| is_named);
        }
    }
    None
}

/// The name of a machine by the words of systemd-nspawn's command line.
fn machine<'a>(mut words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const VALUED: &str = "DuMSpiLZE";
    let (mut name, mut root, mut passing) = (None, None, false);
    while let Some(word) = words.next() {
        let (option, value) = match word.strip_prefix("--") {
            Some("") => break,
            Some(long) => match long.split_once('=') {
                Some((option, value)) => (option, Some(value)),
                None if matches!(long, "machine" | "directory" | "image") => (long, words.next()),
                None => (long, None),
            },
            None => {
                let Some(letters) = word.strip_prefix('-') else {
                    break;
                };
                passing |= letters
                    .split(|letter| VALUED.contains(letter))
                    .next()?
                    .contains('x');
                let Some(place) = letters.find(|letter| VALUED.contains(letter)) else {
                    continue;
                };
                let (rest, option) = (letters.get(place + 1..)?, letters.get(place..=place)?);
                (
                    option,
                    if rest.is_empty() {
                        words.next()
                    } else {
                        Some(rest)
                    },
                )
            }
        };
        match option {
            "machine" | "M" => name = value,
            "directory" | "D" | "image" | "i" => root = value,
            "ephemeral" => passing = true,
            _ => {}
        }
    }
    // A copy that does not last has a number behind its name that nobody is told.
    name.or_else(|| {
        let last = root
            .filter(|_| !passing)?
            .trim_end_matches('/')
            .rsplit('/')
            .next()?;
        Some(last.strip_suffix(".raw").unwrap_or(last))
    })
}

/// The command, if there is one, and the container.
fn find<'a>(place: Place, mut words: impl Iterator<Item = &'a str>) -> Option<(&'a str, &'a str)> {
    let named: &[&str] = match place {
        Place::Command | Place::Machine => &[],
        Place::Option(names) | Place::OptionOrWord(names) => names,
    };
    let mut command = "";
    while let Some(word) = words.next() {
        let (option, value) = match word.split_once('=') {
            Some((option, value)) => (option, Some(value)),
            None => (word, None),
        };
        if !word.starts_with('-') {
            match place {
                Place::Command if !command.is_empty() => return Some((command, word)),
                Place::Command if COMMANDS.contains(&word) => command = word,
                Place::OptionOrWord(_) => return Some((command, word)),
                Place::Option(_) => {}
                Place::Command | Place::Machine => return None,
            }
        } else if word == "--" && !matches!(place, Place::Command) {
            let word = words.next()?;
            return matches!(place, Place::OptionOrWord(_)).then_some((command, word));
        } else if option == "-namespace" && value.or_else(|| words.next()) == Some(PODS) {
            return None;
        } else if named.contains(&option) {
            return Some((command, value.or_else(|| words.next())?));
        } else if matches!(place, Place::OptionOrWord(_)) && !word.starts_with("--") {
            let found = among(word.get(1..).unwrap_or_default(), named, &mut words);
            if let Some(id) = found {
                return Some((command, id));
            }
        } else if value.is_none() && VALUED.contains(&option) {
            words.next();
        }
    }
    None
}
