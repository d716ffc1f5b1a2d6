//! A machine whose processes do anything: each event says who acted, in which container, and calls nobody like another.
#![no_main]

#[path = "../../core/tests/processes/model.rs"]
mod model;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (bool, Vec<(u8, u8, u8)>)| {
    let (births, acts) = input;
    let mut world = model::World::new();
    for (what, who, with) in acts {
        world.act(what, who, with, births);
    }
});
