//! The names of users and groups, asked of whoever knows them.

/// Who is behind an id. The engine never waits: what is not known at once is `None`.
pub trait Names {
    /// The name of a user id.
    fn user(&mut self, id: u32) -> Option<&str>;
    /// The name of a group id.
    fn group(&mut self, id: u32) -> Option<&str>;
    /// Changes whenever an answer given before may have changed.
    fn generation(&self) -> u64 {
        0
    }
}

/// Knows nobody: what a foreign log's ids mean only that log can tell.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn user(&mut self, _: u32) -> Option<&str> {
        None
    }

    fn group(&mut self, _: u32) -> Option<&str> {
        None
    }
}
