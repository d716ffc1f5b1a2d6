mod places;

use super::*;
use crate::endpoint::call::Role;

const MS: u64 = 1_000_000;
const ARGUMENTS: [u64; 4] = [3, 0x7ffd, 16, 0];

/// A trace that has run for a second, and its clock.
struct Kernel {
    trace: Trace,
    time: u64,
}

impl Kernel {
    fn new() -> Self {
        let mut trace = Trace::default();
        trace.begin(0);
        let time = 1_000 * MS;
        let mut kernel = Self { trace, time };
        kernel.add(7, What::Returned(-2)); // the thread has been in a call before
        kernel
    }

    fn add(&mut self, thread: u32, what: What) {
        self.time += 1_000;
        self.trace.add(&Sample {
            time: self.time,
            pid: 7,
            thread,
            arguments: ARGUMENTS,
            what,
        });
    }

    fn begin(&mut self, port: u16) {
        self.begin_to(peer(), port);
    }

    fn begin_to(&mut self, peer: SocketAddr, port: u16) {
        let local = local(port);
        self.add(7, What::Begun { socket: 1, peer });
        self.add(
            7,
            What::Made {
                socket: 1,
                local,
                peer,
            },
        );
    }

    fn connect(&mut self, port: u16, result: i64) {
        self.begin(port);
        self.add(7, What::Returned(result));
    }

    fn claim(&mut self, result: i64) -> Claim {
        self.claim_to(result, Far::Inet(peer().into()))
    }

    fn claim_to(&mut self, result: i64, far: Far) -> Claim {
        self.trace.claim(&call(result), stamp(self.time / MS), far)
    }
}

fn stamp(millis: u64) -> Stamp {
    Stamp {
        seconds: millis / 1_000,
        millis: (millis % 1_000) as u16,
        serial: 1,
    }
}

fn peer() -> SocketAddr {
    "127.0.0.1:80".parse().unwrap()
}

fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

fn call(result: i64) -> Call {
    Call {
        role: Role::Connect,
        pid: 7,
        given: 3,
        fd: 3,
        result,
        arguments: ARGUMENTS,
    }
}

fn found(port: u16, by_order: Option<Ticket>) -> Claim {
    Claim::Found {
        local: Some(local(port)),
        peer: peer(),
        by_order,
    }
}

/// What a claim stands on that was told by order.
fn ticket(claim: Claim, port: u16) -> Ticket {
    let Claim::Found {
        by_order: Some(ticket),
        ..
    } = claim
    else {
        panic!("{claim:?} is not by order")
    };
    assert_eq!(claim, found(port, Some(ticket)));
    ticket
}

#[test]
fn the_only_call_alike_is_the_event_s() {
    let mut kernel = Kernel::new();
    kernel.connect(4000, 0);
    assert_eq!(kernel.claim(0), found(4000, None));
    assert_eq!(kernel.claim(0), Claim::Unknown);
}

#[test]
fn a_call_with_other_arguments_another_result_or_of_another_process_is_another() {
    for change in [
        |call: &mut Call| call.pid = 8,
        |call: &mut Call| call.arguments[1] += 1,
        |call: &mut Call| call.arguments[3] = 1,
        |call: &mut Call| call.result = -115,
    ] {
        let mut kernel = Kernel::new();
        kernel.connect(4000, 0);
        let mut other = call(0);
        change(&mut other);
        assert_eq!(
            kernel
                .trace
                .claim(&other, stamp(kernel.time / MS), Far::Missing),
            Claim::Unknown
        );
    }
}

#[test]
fn calls_alike_are_told_by_their_order() {
    let mut kernel = Kernel::new();
    for port in 4000..4200 {
        kernel.connect(port, 0);
    }
    let mut tickets = Vec::new();
    for port in 4000..4199 {
        let ticket = ticket(kernel.claim(0), port);
        assert!(ticket.is_even());
        assert_eq!(kernel.trace.holds(ticket), None);
        tickets.push(ticket);
    }
    assert_eq!(kernel.claim(0), found(4199, None));
    assert!((tickets.iter()).all(|ticket| kernel.trace.holds(*ticket) == Some(true)));
}

#[test]
fn a_call_left_over_that_is_older_than_the_next_event_refutes_what_order_told() {
    let mut kernel = Kernel::new();
    for port in 4000..4003 {
        kernel.connect(port, 0);
    }
    let ticket = ticket(kernel.claim(0), 4000); // which may be the event of 4001
    self::ticket(kernel.claim(0), 4001);
    kernel.time += 100 * MS;
    kernel.connect(4003, 0);
    assert_eq!(kernel.trace.holds(ticket), None);
    assert_eq!(kernel.claim(0), found(4003, None));
    assert_eq!(kernel.trace.holds(ticket), Some(false));
}

#[test]
fn what_order_told_before_a_loss_is_not_decided_after() {
    let mut kernel = Kernel::new();
    for port in 4000..4004 {
        kernel.connect(port, 0);
    }
    let before = ticket(kernel.claim(0), 4000);
    kernel.trace.begin(kernel.time);
    kernel.time += 100 * MS;
    for port in 4004..4006 {
        kernel.connect(port, 0);
    }
    let after = ticket(kernel.claim(0), 4004);
    assert_eq!(kernel.claim(0), found(4005, None));
    assert_eq!(kernel.trace.holds(after), Some(true));
    assert_eq!(kernel.trace.holds(before), None);
}

#[test]
fn records_that_are_there_before_the_call_has_returned_are_its() {
    let mut kernel = Kernel::new();
    kernel.begin(4000);
    assert_eq!(kernel.claim(0), found(4000, None));
    kernel.add(7, What::Returned(0));
    kernel.connect(4001, 0);
    assert_eq!(
        kernel.claim(0),
        found(4001, None),
        "the return was the first one's"
    );
}

#[test]
fn a_datagram_socket_takes_no_other_s_connection() {
    let mut kernel = Kernel::new();
    kernel.add(7, What::Returned(0));
    kernel.connect(4000, -115);
    assert_eq!(kernel.claim(0), Claim::Other);
    assert_eq!(kernel.claim(-115), found(4000, None));
    // Where there are both kinds, the event may be of a datagram socket whose call has not returned.
    kernel.connect(4001, 0);
    assert!(ticket(kernel.claim(0), 4001).is_even());

    let mut kernel = Kernel::new();
    assert_eq!(kernel.claim(0), Claim::Unknown, "not returned yet");
    kernel.add(7, What::Returned(0));
    kernel.connect(4000, 0);
    assert!(ticket(kernel.claim(0), 4000).is_even());
}

#[test]
fn where_a_call_went_by_without_its_event_order_tells_nothing() {
    let mut kernel = Kernel::new();
    kernel.connect(4000, 0);
    kernel.time += 100 * MS;
    kernel.connect(4001, 0);
    kernel.connect(4002, 0);
    assert!(!ticket(kernel.claim(0), 4001).is_even());
    assert_eq!(kernel.claim(0), found(4002, None), "only this one is left");
}

#[test]
fn other_rules_are_waited_for() {
    let mut kernel = Kernel::new();
    kernel.trace.unsettle(kernel.time);
    kernel.connect(4000, 0);
    kernel.connect(4001, 0);
    let ticket = ticket(kernel.claim(0), 4000);
    assert!(!ticket.is_even());
    assert_eq!(kernel.claim(0), found(4001, None));
    assert_eq!(
        kernel.trace.holds(ticket),
        Some(true),
        "none was left over all the same"
    );
}

#[test]
fn what_was_before_a_loss_is_not_told() {
    let mut kernel = Kernel::new();
    kernel.connect(4000, 0);
    kernel.time += 10 * MS;
    kernel.trace.begin(kernel.time);
    assert_eq!(kernel.claim(0), Claim::Unknown);
}

#[test]
fn a_connection_that_is_made_later_has_its_end_then() {
    let mut kernel = Kernel::new();
    let (peer, local) = (peer(), local(4000));
    kernel.add(7, What::Begun { socket: 1, peer });
    kernel.add(7, What::Returned(-115));
    kernel.add(
        9,
        What::Made {
            socket: 1,
            local,
            peer,
        },
    );
    assert_eq!(kernel.claim(-115), found(4000, None));
}

#[test]
fn a_sample_that_comes_too_late_is_nobody_s() {
    let mut kernel = Kernel::new();
    kernel.add(7, What::Returned(0));
    kernel.time -= 2_000;
    kernel.begin(4000);
    kernel.time += 2_000;
    assert_eq!(kernel.claim(0), Claim::Unknown);

    // Nor is what was there of a call that came after it.
    let mut kernel = Kernel::new();
    kernel.connect(4000, 0);
    kernel.time += 10 * MS;
    kernel.connect(4001, 0);
    kernel.time -= 10 * MS;
    kernel.begin(4002);
    kernel.time += 10 * MS;
    assert_eq!(kernel.claim(0), Claim::Unknown);
}

#[test]
fn an_accepted_connection_has_the_address_that_it_came_to() {
    let mut kernel = Kernel::new();
    let here: SocketAddr = "10.0.0.1:80".parse().unwrap();
    let taken = |local| What::Taken {
        local,
        peer: local_of_client(),
    };
    let there: SocketAddr = "10.0.0.2:80".parse().unwrap();
    let client = local_of_client();
    let any = End::default();
    let port = |port| End {
        ip: None,
        port: Some(port),
    };
    kernel.add(0, taken(here));
    assert_eq!(kernel.trace.accepted(client, port(81)), None);
    assert_eq!(kernel.trace.accepted(client, port(80)), Some(here));
    assert_eq!(kernel.trace.accepted(client, port(80)), None, "once");
    // The port came again before the first event was read: both have the same ends.
    kernel.add(0, taken(here));
    kernel.add(0, taken(here));
    assert_eq!(kernel.trace.accepted(client, any), Some(here));
    assert_eq!(kernel.trace.accepted(client, any), Some(here));
    assert_eq!(kernel.trace.accepted(client, any), None);
    kernel.add(0, taken(here));
    kernel.add(0, taken(there));
    for near in [any, port(80)] {
        assert_eq!(kernel.trace.accepted(client, near), None, "either");
    }
    assert_eq!(kernel.trace.accepted(client, there.into()), Some(there));
    assert_eq!(kernel.trace.accepted(client, any), Some(here));
    for last in 0..20 {
        kernel.add(0, taken(([10, 0, 1, last], 80).into()));
    }
    let seen: SocketAddr = "10.0.1.0:80".parse().unwrap();
    assert_eq!(kernel.trace.accepted(client, seen.into()), None, "too many");
}

fn local_of_client() -> SocketAddr {
    "10.0.0.9:5000".parse().unwrap()
}

#[test]
fn memory_is_bounded_and_what_is_forgotten_is_not_told() {
    let mut kernel = Kernel::new();
    let first = kernel.time / MS;
    for number in 0..3 * MOST {
        kernel.time += 10_000;
        let (peer, local) = (peer(), local(1));
        for what in [
            What::Begun {
                socket: number as u64,
                peer,
            },
            What::Made {
                socket: number as u64,
                local,
                peer,
            },
            What::Returned(0),
        ] {
            kernel.time += 1;
            kernel.trace.add(&Sample {
                time: kernel.time,
                pid: number as u32,
                thread: number as u32,
                arguments: ARGUMENTS,
                what,
            });
        }
        kernel.claim(-114);
    }
    assert!(kernel.trace.calls.len() <= MOST + 1 && kernel.trace.order.len() <= MOST);
    assert_eq!(
        kernel.trace.claim(&call(0), stamp(first), Far::Missing),
        Claim::Unknown
    );
}
