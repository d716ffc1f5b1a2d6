//! More lines than may wait.

use super::*;

/// More lines than may wait.
const MANY: u64 = 5_000;

#[test]
fn a_crowd_of_accepts_keeps_what_its_listener_says() {
    let machine = One::new(Some(socket(1, SERVER, None)));
    let mut engine = Engine::new(Settings::default(), Box::new(machine.clone()));
    accept(&mut engine, &machine, 1, "127.0.0.1:5000");
    for serial in 2..MANY {
        // No time passes.
        event_at(&mut engine, 9, serial, ACCEPT, 9, 3, 7, "127.0.0.1:5000");
    }
    let said = said(&mut engine);
    assert!(said[1..].iter().all(|(origin, _)| origin == "listener"));
}

#[test]
fn a_crowd_of_connects_keeps_what_the_order_of_calls_says() {
    let mut engine = engine(None);
    engine.begin_trace();
    let (peer, socket) = (SERVER.parse().unwrap(), 1);
    let local = |number: u64| SocketAddr::from(([127, 0, 0, 1], 10_000 + number as u16));
    for number in 0..MANY {
        let calls = [
            What::Begun { socket, peer },
            What::Made {
                socket,
                local: local(number),
                peer,
            },
            What::Returned(0),
        ];
        for what in calls {
            engine.endpoints().sample(&Sample {
                time: (TIME + 100) * 1_000_000 + number * 10_000,
                pid: 7,
                thread: 7,
                arguments: [3, 0x7ffd, 16, 0],
                what,
            });
        }
    }
    for number in 0..MANY {
        let millis = 100 + number / 100;
        event_at(&mut engine, millis, number, CONNECT, 0, 3, 7, SERVER);
    }
    let expected: Vec<_> = (0..MANY)
        .map(|number| ("trace".to_owned(), Some(local(number).to_string())))
        .collect();
    assert_eq!(said(&mut engine), expected);
}
