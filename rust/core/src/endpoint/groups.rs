//! Events that destroyed sockets fit alike.

/// Events that share destroyed sockets: for each group the one that it became part of, how many events it has, and how
/// many sockets.
#[derive(Debug, Default)]
pub struct Groups(Vec<(Option<usize>, usize, usize)>);

impl Groups {
    /// A new one.
    pub fn create(&mut self) -> usize {
        self.0.push((None, 0, 0));
        self.0.len() - 1
    }

    /// The group that a group is part of now.
    fn of(&self, mut group: usize) -> usize {
        while let Some((Some(larger), _, _)) = self.0.get(group) {
            group = *larger;
        }
        group
    }

    /// Puts an event, with those it shares a group with, into a group.
    pub fn join(&mut self, member: &mut Option<usize>, group: usize) {
        let (mut events, mut sockets) = (1, 0);
        if let Some(known) = member.map(|known| self.of(known)) {
            if known == group {
                return;
            }
            if let Some(old) = self.0.get_mut(known) {
                (events, sockets) = (old.1, old.2);
                old.0 = Some(group);
            }
        }
        if let Some(new) = self.0.get_mut(group) {
            new.1 += events;
            new.2 += sockets;
        }
        *member = Some(group);
    }

    /// Another socket of the group.
    pub fn count(&mut self, group: usize) {
        if let Some(group) = self.0.get_mut(group) {
            group.2 += 1;
        }
    }

    /// Whether a destroyed socket may still be of an event of the group.
    #[must_use]
    pub fn is_open(&self, group: Option<usize>) -> bool {
        let group = group.and_then(|group| self.0.get(self.of(group)));
        group.is_none_or(|(_, events, sockets)| sockets < events)
    }
}
