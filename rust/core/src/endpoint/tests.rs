//! Whose destroyed socket it was, through the whole engine: packets and broadcasts in, lines out.

mod alike;
mod crowds;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use crate::endpoint::destroyed::tests::datagram;
use crate::endpoint::sample::{Sample, What};
use crate::endpoint::waiting::PATIENCE;
use crate::engine::{Engine, Settings};
use crate::system::{Ask, Socket, System};

const TIME: u64 = 1_700_000_000_000;

/// A machine whose processes have at most one socket at a time, and its clock.
#[derive(Clone)]
struct One(Arc<Mutex<(Option<Socket>, u64)>>);

impl One {
    fn new(socket: Option<Socket>) -> Self {
        Self(Arc::new(Mutex::new((socket, TIME))))
    }

    fn set(&self, socket: Socket) {
        self.0.lock().unwrap().0 = Some(socket);
    }
}

impl System for One {
    fn user(&mut self, _: u32) -> Option<&str> {
        None
    }
    fn group(&mut self, _: u32) -> Option<&str> {
        None
    }
    fn sees_sockets(&self) -> bool {
        true
    }
    fn socket(&mut self, _: u32, _: u32, ask: Ask) -> Option<Socket> {
        let (socket, _) = *self.0.lock().unwrap();
        socket.filter(|socket| ask == Ask::Any || (ask == Ask::Listener) == socket.peer.is_none())
    }
    fn losses(&mut self, now: u64, waits: bool) -> Option<(u64, u64)> {
        waits.then_some((0, now))
    }
    fn time(&mut self) -> u64 {
        self.0.lock().unwrap().1
    }
}

fn socket(cookie: u64, local: &str, peer: Option<&str>) -> Socket {
    Socket {
        local: local.parse().unwrap(),
        peer: peer.map(|peer| peer.parse().unwrap()),
        protocol: 6,
        cookie,
    }
}

fn engine(socket: Option<(&str, Option<&str>)>) -> Engine {
    let socket = socket.map(|(local, peer)| self::socket(1, local, peer));
    Engine::new(Settings::default(), Box::new(One::new(socket)))
}

/// An event of a call on a socket, with the address in its record.
fn event(engine: &mut Engine, serial: u64, call: u32, exit: i64, fd: u32, pid: u32, address: &str) {
    event_at(engine, 0, serial, call, exit, fd, pid, address);
}

/// An accept on descriptor 3, so many milliseconds later, read at once. The engine's clock is a hundred times as fast.
fn accept(engine: &mut Engine, machine: &One, serial: u64, address: &str) {
    machine.0.lock().unwrap().1 = TIME + serial;
    event_at(engine, serial, serial, ACCEPT, 9, 3, 7, address);
}

#[allow(clippy::too_many_arguments)]
fn event_at(
    engine: &mut Engine,
    millis: u64,
    serial: u64,
    call: u32,
    exit: i64,
    fd: u32,
    pid: u32,
    address: &str,
) {
    let address: SocketAddr = address.parse().unwrap();
    let SocketAddr::V4(address) = address else {
        panic!("IPv4 only")
    };
    let octets: String = (address.ip().octets().iter())
        .map(|octet| format!("{octet:02X}"))
        .collect();
    let success = if exit < 0 { "no" } else { "yes" };
    let texts = [
        (
            1300_u16,
            format!(
                "arch=c000003e syscall={call} success={success} exit={exit} a0={fd:x} a1=7ffd a2=10 a3=0 items=0 \
                 ppid=1 pid={pid} auid=0 uid=0 gid=0 euid=0 suid=0 fsuid=0 egid=0 sgid=0 fsgid=0 tty=(none) ses=1 \
                 comm=\"x\" exe=\"/x\" key=(null)"
            ),
        ),
        (
            1306,
            format!("saddr=0200{:04X}{octets}0000000000000000", address.port()),
        ),
        (1320, String::new()),
    ];
    for (kind, text) in texts {
        let text = format!("audit({}.{millis:03}:{serial}): {text}", TIME / 1000);
        let mut packet = u32::try_from(text.len()).unwrap().to_ne_bytes().to_vec();
        packet.extend(kind.to_ne_bytes());
        packet.extend([0; 10]);
        packet.extend(text.as_bytes());
        engine.glance(&packet, millis * 100);
        engine.packet(&packet, millis * 100);
    }
}

const CONNECT: u32 = 42;
const ACCEPT: u32 = 43;
const RECVFROM: u32 = 45;
const BIND: u32 = 49;
const GETSOCKNAME: u32 = 51;

fn gone(engine: &mut Engine, local: &str, peer: &str, idle: u32, segments: u32) {
    engine.destroyed(&datagram(local, peer, idle, segments), TIME, 0);
    engine.endpoints().settle();
}

/// What the lines say once all that had happened was read: who knew it, and the source.
fn said(engine: &mut Engine) -> Vec<(String, Option<String>)> {
    engine.endpoints().mark();
    engine.endpoints().settle();
    lines(engine)
}

/// What the lines say in the end.
fn lines(engine: &mut Engine) -> Vec<(String, Option<String>)> {
    engine.flush();
    let lines = std::mem::take(engine.output());
    let mut said: Vec<_> = (lines.split(|byte| *byte == b'\n'))
        .filter(|line| !line.is_empty())
        .map(|line| {
            let event: serde_json::Value = serde_json::from_slice(line).unwrap();
            let source = &event["source"];
            let source = source["ip"]
                .as_str()
                .map(|ip| format!("{ip}:{}", source["port"]));
            let serial = event["event"]["sequence"].as_u64().unwrap();
            (
                serial,
                event["tsauditd"]["endpoint"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                source,
            )
        })
        .collect();
    said.sort();
    said.into_iter()
        .map(|(_, origin, source)| (origin, source))
        .collect()
}

fn unknown() -> (String, Option<String>) {
    ("unknown".into(), None)
}

const SERVER: &str = "127.0.0.1:80";

#[test]
fn a_socket_that_is_there_is_looked_at() {
    let mut engine = engine(Some(("127.0.0.1:4000", Some(SERVER))));
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    assert_eq!(
        said(&mut engine),
        [("pidfd".into(), Some("127.0.0.1:4000".into()))]
    );
}

#[test]
fn what_comes_has_the_far_end_as_its_source() {
    let mut engine = engine(Some(("127.0.0.1:4000", Some(SERVER))));
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    said(&mut engine);
    event(&mut engine, 2, RECVFROM, 5, 3, 7, SERVER);
    assert_eq!(said(&mut engine), [("event".into(), Some(SERVER.into()))]);
}

#[test]
fn what_a_look_told_counts_once_all_that_had_happened_was_read() {
    let mut engine = engine(Some(("127.0.0.1:4000", Some(SERVER))));
    engine.endpoints().mark();
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    engine.endpoints().settle();
    engine.tick(PATIENCE);
    assert!(engine.output().is_empty(), "it came after the mark");
    engine.endpoints().mark();
    assert!(engine.endpoints().wants_settling(2 * PATIENCE));
    engine.tick(2 * PATIENCE);
    assert!(engine.output().is_empty());
    engine.endpoints().settle();
    engine.tick(3 * PATIENCE);
    let found = ("pidfd".into(), Some("127.0.0.1:4000".into()));
    assert_eq!(lines(&mut engine), [found]);
    event(&mut engine, 2, CONNECT, 0, 3, 7, SERVER);
    engine.tick(100 * PATIENCE);
    assert_eq!(lines(&mut engine), [unknown()], "it was never settled");
}

#[test]
fn a_socket_with_another_far_end_is_not_it() {
    let mut engine = engine(Some(("127.0.0.1:4000", Some("127.0.0.1:81"))));
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    assert_eq!(said(&mut engine), [unknown()]);
}

#[test]
fn a_descriptor_used_again_for_the_same_place_leaves_the_first_unknown() {
    let mut engine = engine(Some(("127.0.0.1:4000", Some(SERVER))));
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    event(&mut engine, 2, CONNECT, 0, 3, 7, SERVER);
    let found = ("pidfd".into(), Some("127.0.0.1:4000".into()));
    assert_eq!(said(&mut engine), [unknown(), found]);
}

#[test]
fn a_name_that_was_asked_for_and_is_the_one_found_leaves_nothing_open() {
    for (name, found) in [("10.0.0.1:4000", true), ("10.0.0.1:4001", false)] {
        let machine = One::new(Some(socket(1, "10.0.0.1:4000", None)));
        let mut engine = Engine::new(Settings::default(), Box::new(machine));
        event(&mut engine, 1, BIND, 0, 3, 7, "10.0.0.1:0");
        event(&mut engine, 2, GETSOCKNAME, 0, 3, 7, name);
        let said = said(&mut engine);
        assert_eq!(said[0].0 == "pidfd", found, "{said:?}");
    }
}

#[test]
fn a_listener_is_looked_at_once_and_gives_the_near_end() {
    let machine = One::new(Some(socket(1, SERVER, None)));
    let mut engine = Engine::new(Settings::default(), Box::new(machine.clone()));
    for serial in 1..=50 {
        accept(&mut engine, &machine, serial, "127.0.0.1:5000");
    }
    let said = said(&mut engine);
    // Before the first it was not known to listen: there the accepted socket itself is looked at.
    assert_eq!(said[0].0, "unknown");
    assert!(said[1..].iter().all(|(origin, _)| origin == "listener"));
    let shares = engine.shares();
    assert_eq!((shares.looks, shares.accepts), (1, [50, 49]));
}

#[test]
fn a_listener_that_is_another_by_then_gives_nothing() {
    let machine = One::new(Some(socket(1, SERVER, None)));
    let mut engine = Engine::new(Settings::default(), Box::new(machine.clone()));
    for serial in 1..=4 {
        accept(&mut engine, &machine, serial, "127.0.0.1:5000");
    }
    // Seen when they are to be written.
    machine.set(socket(2, "127.0.0.9:99", None));
    let words: Vec<_> = (said(&mut engine).into_iter())
        .map(|(word, _)| word)
        .collect();
    assert_eq!(words, ["unknown"; 4]);
}

#[test]
fn a_listener_that_came_in_between_gives_only_what_comes_after() {
    let machine = One::new(Some(socket(1, SERVER, None)));
    let mut engine = Engine::new(Settings::default(), Box::new(machine.clone()));
    for serial in 1..=2 {
        accept(&mut engine, &machine, serial, "127.0.0.1:5000");
    }
    engine.tick(250);
    // Closed, and opened again for another address, within the time that the first is believed.
    machine.set(socket(2, "127.0.0.9:99", None));
    for serial in 3..=4 {
        accept(&mut engine, &machine, serial, "127.0.0.1:5001");
    }
    engine.tick(450);
    for serial in 5..=6 {
        accept(&mut engine, &machine, serial, "127.0.0.1:5002");
    }
    let words: Vec<_> = (said(&mut engine).into_iter())
        .map(|(word, _)| word)
        .collect();
    assert_eq!(
        words,
        [
            "unknown", "listener", "unknown", "unknown", "unknown", "listener"
        ]
    );
}

#[test]
fn tracepoints_of_accepts_are_wanted_once_there_is_one() {
    let mut engine = engine(None);
    engine.begin_trace();
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    assert!(!engine.endpoints().wants_accepts());
    event(&mut engine, 2, ACCEPT, 9, 3, 7, "127.0.0.1:5000");
    assert!(engine.endpoints().wants_accepts());
    engine.begin_trace();
    assert!(!engine.endpoints().wants_accepts());
}

#[test]
fn a_destroyed_socket_is_its_only_event_s() {
    let mut engine = engine(None);
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    gone(&mut engine, "127.0.0.1:4001", "127.0.0.1:81", 0, 0);
    gone(&mut engine, "127.0.0.1:4000", SERVER, 4, 0);
    assert_eq!(
        said(&mut engine),
        [("destroyed".into(), Some("127.0.0.1:4000".into()))]
    );
}

#[test]
fn an_older_socket_is_nobody_s() {
    let mut engine = engine(None);
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    gone(&mut engine, "127.0.0.1:4000", SERVER, 5_000, 0);
    assert_eq!(said(&mut engine), [unknown()]);
}

#[test]
fn two_events_for_one_socket_or_two_sockets_for_one_event_stay_unknown() {
    let mut first = engine(None);
    event(&mut first, 1, CONNECT, 0, 3, 7, SERVER);
    event(&mut first, 2, CONNECT, 0, 3, 8, SERVER);
    gone(&mut first, "127.0.0.1:4000", SERVER, 0, 0);
    gone(&mut first, "127.0.0.1:4002", SERVER, 0, 0);
    // The two are accounted for: the next is the third event's.
    event(&mut first, 3, CONNECT, 0, 3, 9, SERVER);
    gone(&mut first, "127.0.0.1:4004", SERVER, 0, 0);
    let found = ("destroyed".into(), Some("127.0.0.1:4004".into()));
    assert_eq!(said(&mut first), [unknown(), unknown(), found]);

    let mut second = engine(None);
    event(&mut second, 1, CONNECT, 0, 3, 7, SERVER);
    gone(&mut second, "127.0.0.1:4000", SERVER, 0, 0);
    gone(&mut second, "127.0.0.1:4002", SERVER, 0, 0);
    assert_eq!(said(&mut second), [unknown()]);
}

#[test]
fn a_socket_that_goes_late_is_not_the_next_event_s() {
    let mut engine = engine(None);
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    engine.tick(1_000);
    event(&mut engine, 2, CONNECT, 0, 3, 8, SERVER);
    gone(&mut engine, "127.0.0.1:4000", SERVER, 0, 0);
    assert_eq!(said(&mut engine), [unknown(), unknown()]);
}

#[test]
fn missed_broadcasts_leave_everything_open() {
    let mut engine = engine(None);
    event(&mut engine, 1, CONNECT, 0, 3, 7, SERVER);
    engine.endpoints().missed();
    gone(&mut engine, "127.0.0.1:4000", SERVER, 0, 0);
    assert_eq!(said(&mut engine), [unknown()]);
}
