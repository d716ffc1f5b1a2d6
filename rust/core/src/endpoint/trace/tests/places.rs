//! Calls told by where they went, and what order and places tell together.

use super::*;

#[test]
fn where_each_went_elsewhere_no_order_is_needed_also_amid_a_storm() {
    let mut kernel = Kernel::new();
    let mut waiting = VecDeque::new();
    let mut known = 0;
    for number in 0..3_000 {
        if number == 1_000 {
            kernel.trace.begin(kernel.time);
        }
        let stamp = kernel.time / (4 * MS) * 4;
        kernel.time += 50_000;
        let to = SocketAddr::from(([127, 1, (number / 250) as u8, (number % 250) as u8], 80));
        kernel.begin_to(to, number);
        kernel.add(7, What::Returned(0));
        waiting.push_back((to, number, stamp));
        // The events come late, as long as the storm lasts.
        if waiting.len() > 300 {
            let (to, number, stamp) = waiting.pop_front().unwrap();
            let claim = (kernel.trace).claim(&call(0), self::stamp(stamp), Far::Inet(to.into()));
            if claim != Claim::Unknown {
                known += u32::from(number >= 1_000);
                let local = Some(local(number));
                let (peer, by_order) = (to, None);
                assert_eq!(
                    claim,
                    Claim::Found {
                        local,
                        peer,
                        by_order
                    }
                );
            }
        }
    }
    assert!(known > 1_500, "only {known}");
}

#[test]
fn a_call_that_is_another_s_by_its_far_end_proves_that_the_one_before_has_no_event() {
    let mut kernel = Kernel::new();
    let other: SocketAddr = "127.0.0.1:81".parse().unwrap();
    for port in [4000, 4001] {
        kernel.connect(port, 0);
    }
    let refuted = ticket(kernel.claim(0), 4000);
    kernel.begin_to(other, 4002);
    kernel.add(7, What::Returned(0));
    for port in [4003, 4004] {
        kernel.connect(port, 0);
    }
    let by_order = None;
    let (local, peer) = (Some(local(4002)), other);
    let found = Claim::Found {
        local,
        peer,
        by_order,
    };
    assert_eq!(kernel.claim_to(0, Far::Inet(other.into())), found);
    assert_eq!(kernel.trace.holds(refuted), Some(false));
    assert!(ticket(kernel.claim(0), 4003).is_even());
}

#[test]
fn an_event_s_call_that_went_where_its_record_does_not_say_is_no_other_s() {
    let mut kernel = Kernel::new();
    let asked = Far::Inet("10.9.9.9:80".parse::<SocketAddr>().unwrap().into());
    kernel.connect(4000, 0); // sent elsewhere on its way
    assert_eq!(kernel.claim_to(0, asked), Claim::Unknown);
    kernel.connect(4001, 0);
    assert!(!ticket(kernel.claim(0), 4000).is_even());
    // What means any address admits each.
    kernel.time += 100 * MS;
    kernel.connect(4002, 0);
    let any = Far::Inet("0.0.0.0:80".parse::<SocketAddr>().unwrap().into());
    assert_eq!(kernel.claim_to(0, any), found(4002, None));
}

#[test]
fn another_kind_of_address_takes_no_connection() {
    let mut kernel = Kernel::new();
    kernel.connect(4000, 0);
    kernel.add(7, What::Returned(0));
    assert_eq!(kernel.claim_to(0, Far::Other), Claim::Other);
    ticket(kernel.claim(0), 4000);
}

/// Calls alike to a few places, some of no tracepoint's, whose events come late, some never, in stamps as coarse as the
/// kernel's, while tracepoints lose sight now and then: what is told for certain, and what order told and was confirmed,
/// is right.
#[test]
fn what_is_confirmed_is_right_whatever_is_lost() {
    let mut state = 1_u64;
    let mut random = move |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) % below
    };
    let (mut confirmed, mut certain) = (0, 0);
    for run in 0..600 {
        let mut kernel = Kernel::new();
        let mut waiting: VecDeque<(u64, Far, u16)> = VecDeque::new();
        let mut by_order: Vec<(Ticket, bool)> = Vec::new();
        let losses = run % 4; // of ten
        let places = 1 + run % 5;
        let most = [3, 20, 60][(run / 20 % 3) as usize];
        if run % 3 == 0 {
            // That there are calls of another kind must have been seen.
            kernel.add(7, What::Returned(0));
            assert_eq!(kernel.claim(0), Claim::Other);
        }
        for port in 4000..4200 {
            kernel.time += random(3 * MS);
            if run % 7 == 0 && run % 3 > 0 && random(60) == 0 {
                kernel.trace.begin(kernel.time);
            }
            // A tick of 4 ms.
            let stamp = kernel.time / (4 * MS) * 4;
            let to = SocketAddr::from(([127, 0, 0, 1], 80 + random(places) as u16));
            let mut far = Far::Inet(to.into());
            let is_datagram = run % 3 == 0 && random(5) == 0;
            if !is_datagram {
                kernel.begin_to(to, port);
            } else if random(2) == 0 {
                far = Far::Other;
            }
            if random(10) >= losses {
                waiting.push_back((stamp, far, if is_datagram { 0 } else { port }));
            }
            // The return comes a moment after the event.
            let mut has_returned = random(4) > 0;
            if has_returned {
                kernel.add(7, What::Returned(0));
            }
            while waiting.len() > most || (!waiting.is_empty() && random(5) < 3) {
                let (stamp, far, port) = waiting.pop_front().unwrap();
                let claim = kernel.trace.claim(&call(0), self::stamp(stamp), far);
                if !has_returned {
                    kernel.add(7, What::Returned(0));
                    has_returned = true;
                }
                let (end, ticket) = match claim {
                    Claim::Unknown => continue,
                    Claim::Other => {
                        assert_eq!(port, 0, "run {run}");
                        continue;
                    }
                    Claim::Found {
                        local, by_order, ..
                    } => (local, by_order),
                };
                let is_right = port > 0 && end == Some(local(port));
                match ticket {
                    Some(ticket) => by_order.push((ticket, is_right)),
                    None => {
                        certain += 1;
                        assert!(is_right, "run {run}: {end:?} for {port}");
                    }
                }
            }
            if !has_returned {
                kernel.add(7, What::Returned(0));
            }
        }
        for (ticket, is_right) in by_order {
            if kernel.trace.holds(ticket) == Some(true) {
                confirmed += 1;
                assert!(is_right, "run {run}");
            }
        }
    }
    assert!(
        confirmed > 1_000 && certain > 20_000,
        "only {confirmed} and {certain}"
    );
}
