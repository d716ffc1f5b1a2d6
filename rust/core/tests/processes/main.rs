//! The process table by what the events say: who is who, started by whom, come by which door.

mod entries;
mod host;
mod joined;
mod model;
mod table;

use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn whatever_processes_do_each_is_told_as_it_is(
        births in any::<bool>(),
        acts in prop::collection::vec((any::<u8>(), any::<u8>(), any::<u8>()), 1..120),
    ) {
        let mut world = model::World::new();
        for (what, who, with) in acts {
            world.act(what, who, with, births);
        }
    }
}
