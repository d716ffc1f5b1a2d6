//! Names of ids through time: which one an id had at a moment, and whether an answer given before still holds.

/// Earlier names remembered for an id, and times of change for all.
const EARLIER_NAMES: usize = 4;
const EARLIER_CHANGES: usize = 8;

/// An account that was removed keeps its name for so long: the events of the removal itself say whom. In milliseconds.
const REMOVAL_MS: u64 = 1000;

#[derive(Debug, Clone)]
struct Earlier {
    name: Option<Box<str>>,
    until: u64,
}

/// What an id is called, now and before. Times are in milliseconds since the epoch.
#[derive(Debug, Clone, Default)]
pub struct Named {
    name: Option<Box<str>>,
    /// Oldest first.
    earlier: Vec<Earlier>,
}

impl Named {
    /// An id that has this name, and always had as far as anyone knows.
    #[must_use]
    pub fn new(name: Option<Box<str>>) -> Self {
        Self {
            name,
            earlier: Vec::new(),
        }
    }

    /// The name at `time`.
    #[must_use]
    pub fn at(&self, time: u64) -> Option<&str> {
        let earlier = self.earlier.iter().find(|earlier| time < earlier.until);
        earlier.map_or(self.name.as_deref(), |earlier| earlier.name.as_deref())
    }

    /// The last name.
    #[must_use]
    pub fn last(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Whether no other name is known than the last.
    #[must_use]
    pub fn always(&self) -> bool {
        self.earlier.is_empty()
    }

    /// The id came to have another name, or none, at `since`. Returns from when on that counts; nothing if it had that
    /// name already. A removal counts only after a second.
    pub fn rename(&mut self, name: Option<Box<str>>, since: u64) -> Option<u64> {
        if self.name == name {
            return None;
        }
        let since = if name.is_some() {
            since
        } else {
            since.saturating_add(REMOVAL_MS)
        };
        let before = std::mem::replace(&mut self.name, name);
        for earlier in &mut self.earlier {
            earlier.until = earlier.until.min(since);
        }
        if self.earlier.len() >= EARLIER_NAMES {
            self.earlier.remove(0);
        }
        self.earlier.push(Earlier {
            name: before,
            until: since,
        });
        Some(since)
    }
}

/// Numbers the states of all names: the same number means the same answers.
#[derive(Debug, Default)]
pub struct Generations {
    /// When names became others: before and after each, answers differ.
    changes: Vec<u64>,
    /// Counts in steps larger than the number of `changes`.
    total: u64,
    current: u64,
}

impl Generations {
    /// The number of the state at `time`.
    pub fn at(&mut self, time: u64) {
        let later = self.changes.iter().filter(|change| time < **change);
        self.current = self.total - later.count() as u64;
    }

    /// The number that [`Generations::at`] found last.
    #[must_use]
    pub fn current(&self) -> u64 {
        self.current
    }

    /// A name is another from `since` on; [`Generations::renew`] must follow.
    pub fn change(&mut self, since: u64) {
        if !self.changes.contains(&since) {
            self.changes.push(since);
        }
    }

    /// Answers given before no longer hold, whatever moment they were for.
    pub fn renew(&mut self) {
        let surplus = self.changes.len().saturating_sub(EARLIER_CHANGES);
        self.changes.drain(..surplus);
        self.total += EARLIER_CHANGES as u64 + 1;
        self.current = self.total;
    }
}

/// The ids and names in a text of lines `name:password:id:...` (passwd(5), group(5)), in the order of the ids, at most
/// `most` lines' worth. Of two names of an id, the first in the text counts.
#[must_use]
pub fn listed(text: &str, most: usize) -> Vec<(u32, Box<str>)> {
    let mut names: Vec<(u32, Box<str>)> = text
        .lines()
        .filter(|line| !line.starts_with(['#', '+', '-'])) // the last two are of `compat`, nsswitch.conf(5)
        .filter_map(|line| {
            let mut words = line.split(':');
            let (name, _, id) = (words.next()?, words.next()?, words.next()?);
            Some((id.parse().ok()?, Box::from(name)))
        })
        .take(most)
        .collect();
    names.sort_by_key(|(id, _)| *id); // keeps the text's order within an id
    names.dedup_by_key(|(id, _)| *id);
    names
}

/// Whether nsswitch.conf(5), given as `text`, has the system look into the local file for `database`; it does where
/// nothing is said.
#[must_use]
pub fn is_local(text: &str, database: &str) -> bool {
    let mut lines = text.lines().filter_map(|line| line.trim().split_once(':'));
    lines
        .find(|(name, _)| name.trim() == database)
        .is_none_or(|(_, services)| {
            let services = services.split('#').next().unwrap_or_default();
            services
                .split_whitespace()
                .any(|word| matches!(word, "files" | "compat"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some(name: &str) -> Option<Box<str>> {
        Some(Box::from(name))
    }

    #[test]
    fn a_name_is_that_of_the_moment() {
        let mut id = Named::new(some("bob"));
        assert_eq!(id.rename(some("bob"), 4_000), None);
        assert_eq!(id.rename(None, 5_000), Some(6_000));
        assert_eq!((id.at(0), id.at(5_999)), (Some("bob"), Some("bob")));
        assert_eq!((id.at(6_000), id.last()), (None, None));
        // The id comes to another before the removal counts: the old name ends there.
        assert_eq!(id.rename(some("carol"), 5_200), Some(5_200));
        assert_eq!((id.at(5_199), id.at(5_200)), (Some("bob"), Some("carol")));
        assert_eq!((id.at(7_000), id.always()), (Some("carol"), false));
    }

    #[test]
    fn a_new_account_has_its_name_since_it_was_made() {
        let mut id = Named::default();
        assert!(id.always());
        id.rename(some("dave"), 1_000);
        assert_eq!(
            (id.at(0), id.at(999), id.at(1_000)),
            (None, None, Some("dave"))
        );
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut id = Named::default();
        for turn in 1..100_u64 {
            id.rename(some(&turn.to_string()), turn * 100);
        }
        assert_eq!(id.earlier.len(), EARLIER_NAMES);
        assert_eq!(
            (id.at(9_799), id.at(9_800), id.at(u64::MAX)),
            (Some("97"), Some("98"), Some("99"))
        );
    }

    #[test]
    fn the_same_number_means_the_same_answers() {
        let mut random = 7_u64;
        let mut next = |below: u64| {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (random >> 33) % below
        };
        let mut ids = vec![Named::default(); 3];
        let mut generations = Generations::default();
        let mut seen = std::collections::HashMap::new();
        let mut time = 10_000;
        for _ in 0..2_000 {
            if next(8) == 0 {
                let name = (next(3) > 0).then(|| next(5).to_string().into_boxed_str());
                let place = usize::try_from(next(3)).unwrap();
                if let Some(since) = ids[place].rename(name, time) {
                    generations.change(since);
                    generations.renew();
                }
            }
            time += next(300);
            // What is asked about is at most a few hundred milliseconds old.
            let moment = time - next(600);
            generations.at(moment);
            let answers: Vec<_> = ids
                .iter()
                .map(|id| id.at(moment).map(str::to_owned))
                .collect();
            let before = seen
                .entry(generations.current())
                .or_insert_with(|| answers.clone());
            assert_eq!(*before, answers);
        }
    }

    #[test]
    fn local_files_are_read_as_the_system_does() {
        let text = "root:x:0:0:root:/root:/bin/bash\n# no:x:1:\n+nis::::::\nsecond:x:0:\nbad:x:one:\n\nbob:x:7:\r\n";
        let names: Vec<_> = listed(text, 100)
            .into_iter()
            .map(|(id, name)| (id, name.to_string()))
            .collect();
        assert_eq!(names, [(0, "root".to_owned()), (7, "bob".to_owned())]);
        assert_eq!(listed(text, 1).len(), 1);
    }

    #[test]
    fn the_system_may_not_ask_the_local_files() {
        let text = "# passwd: none\n passwd:\tsss [!UNAVAIL=return] files # systemd\ngroup: ldap # files\n";
        assert!(is_local(text, "passwd"));
        assert!(!is_local(text, "group"));
        assert!(is_local("", "passwd"));
        assert!(is_local("passwd: compat", "passwd"));
    }
}
