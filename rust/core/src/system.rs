//! What no record says and only the system can: asked of whoever can know, and never waited for.

/// The machine that the events come from. What is not known at once is `None`.
pub trait System {
    /// The name of a user id.
    fn user(&mut self, id: u32) -> Option<&str>;
    /// The name of a group id.
    fn group(&mut self, id: u32) -> Option<&str>;
    /// The event that is asked about from now on happened at `time`, in milliseconds since the epoch: names are those
    /// of that moment, as far as they are known.
    fn at(&mut self, _time: u64) {}
    /// A record told of work on accounts: names may be others from now on.
    fn accounts_changed(&mut self) {}
    /// Changes whenever an answer given before may have changed; stays the same from one call of [`System::at`] to
    /// the next.
    fn generation(&self) -> u64 {
        0
    }
}

/// Knows nothing: what a foreign log's ids mean only that log can tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl System for Nobody {
    fn user(&mut self, _: u32) -> Option<&str> {
        None
    }

    fn group(&mut self, _: u32) -> Option<&str> {
        None
    }
}
