//! Events whose records say the same but for the address: their lines are kept, and say what they would say anew.

use proptest::prelude::*;

use super::*;

const ADDRESSES: [&str; 4] = ["10.0.0.1:80", "10.0.0.2:80", "127.0.0.53:53", "0.0.0.0:0"];

/// What happens: a call (its number, what it returned, descriptor, pid, address), or something beside.
#[derive(Debug, Clone)]
enum Step {
    Call(u32, i64, u32, u32, usize),
    /// The process's socket is another one now.
    Socket(u64, usize, usize),
    Gone(usize, usize),
    Later(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let call = prop::sample::select(vec![CONNECT, CONNECT, ACCEPT, RECVFROM, BIND, GETSOCKNAME]);
    let exit = prop::sample::select(vec![0_i64, 0, 0, 9, -115, -111]);
    prop_oneof![
        8 => (call, exit, 3_u32..5, 7_u32..9, 0..ADDRESSES.len())
            .prop_map(|(call, exit, fd, pid, at)| Step::Call(call, exit, fd, pid, at)),
        1 => (1_u64..4, 0..ADDRESSES.len(), 0..ADDRESSES.len())
            .prop_map(|(cookie, local, peer)| Step::Socket(cookie, local, peer)),
        1 => (0..ADDRESSES.len(), 0..ADDRESSES.len()).prop_map(|(local, peer)| Step::Gone(local, peer)),
        1 => (1_u64..40).prop_map(Step::Later),
    ]
}

/// The lines for all that happens. `forgets`: nothing that was written is kept.
fn told(steps: &[Step], forgets: bool) -> String {
    let machine = One::new(Some(socket(1, "10.0.0.9:4000", Some("10.0.0.1:80"))));
    let settings = Settings::default();
    let (most, raw) = (settings.max_argument_bytes, settings.raw);
    let mut engine = Engine::new(settings, Box::new(machine.clone()));
    let mut millis = 0;
    for (serial, step) in (1..).zip(steps) {
        match *step {
            Step::Call(call, exit, fd, pid, at) => {
                event_at(
                    &mut engine,
                    millis,
                    serial,
                    call,
                    exit,
                    fd,
                    pid,
                    ADDRESSES[at],
                );
            }
            Step::Socket(cookie, local, peer) => {
                machine.set(socket(cookie, ADDRESSES[local], Some(ADDRESSES[peer])));
            }
            Step::Gone(local, peer) => gone(&mut engine, ADDRESSES[local], ADDRESSES[peer], 0, 1),
            Step::Later(by) => millis += by,
        }
        machine.0.lock().unwrap().1 = TIME + millis;
        engine.tick(millis * 100);
        if forgets {
            engine.change(false, most, raw, false);
        }
    }
    engine.flush();
    String::from_utf8(engine.output().clone()).unwrap()
}

proptest! {
    #[test]
    fn kept_lines_say_what_new_ones_would(steps in prop::collection::vec(step(), 1..60)) {
        prop_assert_eq!(told(&steps, false), told(&steps, true));
    }
}
