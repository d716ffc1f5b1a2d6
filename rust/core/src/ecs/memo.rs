//! What stays the same from event to event of one process, kept as it was written.
//!
//! The kernel writes who acted at the end of each SYSCALL record, from `ppid=` on, and it is the same text for every
//! event of a process between two changes of its identity. So what is made of it is made once and copied after that.

use crate::mix::{mix, place};
use crate::process::Seat;
use crate::process::seen::Credentials;

/// How many texts are remembered; a new one takes the place of the one that has its number.
const PLACES: usize = 256;

/// The parts of a line that depend on nothing but that text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `"user":{...}`.
    User,
    /// The first members of `process`.
    Process,
    /// `"tags":[...]`.
    Tags,
    /// `"session":"..."`.
    Session,
    /// The last members of `auditd.data`.
    Data,
    /// `"actor":{...}` of the summary.
    Actor,
    /// `"how":"..."` of the summary.
    How,
    /// The last members of an entry of `auditd.paths`.
    Path,
    /// The last members of `file`.
    File,
    /// `"title":"..."` of the process.
    Title,
    /// `"session":{...}` of `tsauditd`.
    SessionId,
}

impl Section {
    /// Whether it is the same for all processes with the same ids, terminal, log-in and program.
    #[must_use]
    pub fn is_shared(self) -> bool {
        matches!(
            self,
            Self::User | Self::Tags | Self::Session | Self::Data | Self::Actor | Self::How
        )
    }
}

/// The number of sections.
const SECTIONS: usize = 11;

/// The process behind a text, in the state that was written, and the ids that it acts with.
#[derive(Debug, Clone, Copy, Default)]
pub struct Acting {
    /// The process; `None` where the text names none.
    pub seat: Option<Seat>,
    /// The ids, where all are there.
    pub credentials: Option<Credentials>,
}

/// What was written for one text.
#[derive(Debug, Default)]
pub struct Told {
    key: Vec<u8>,
    generation: u64,
    sections: [Vec<u8>; SECTIONS],
    /// A bit for each section that was written.
    written: u16,
    /// Who acted, with which ids.
    pub acting: Acting,
    /// The names for `related.user`.
    pub users: Vec<Vec<u8>>,
    /// Tells it from all that was told before and after.
    pub number: u64,
}

impl Told {
    /// A section, without a comma before it; empty if nothing was written.
    #[must_use]
    pub fn section(&self, section: Section) -> &[u8] {
        self.sections
            .get(section as usize)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// Keeps a section as it was written, a comma before it left out.
    pub fn keep(&mut self, section: Section, text: &[u8]) {
        if let Some(place) = self.sections.get_mut(section as usize) {
            place.clear();
            place.extend_from_slice(text.strip_prefix(b",").unwrap_or(text));
            self.written |= 1 << section as u16;
        }
    }
}

/// The texts seen last.
#[derive(Debug)]
pub struct Memo {
    places: Vec<Told>,
    /// The number of what was told last.
    number: u64,
}

impl Default for Memo {
    fn default() -> Self {
        Self {
            places: (0..PLACES).map(|_| Told::default()).collect(),
            number: 0,
        }
    }
}

/// Finds what was told of a text again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(usize);

impl Memo {
    /// Where the text `who` with the names `enriched` has its place, and whether it is there. `generation`: of the
    /// names in use; what was written with older ones does not count.
    #[must_use]
    pub fn find(&self, who: &[u8], enriched: &[u8], generation: u64) -> (Place, bool) {
        let hash = mix(mix(0, who), enriched);
        let place = place(hash, PLACES);
        let known = self.places.get(place).is_some_and(|told| {
            told.generation == generation
                && told.key.len() == who.len() + enriched.len()
                && told.key.starts_with(who)
                && told.key.ends_with(enriched)
        });
        (Place(place), known && !who.is_empty())
    }

    /// What was written before for a text, as one section.
    #[must_use]
    pub fn recall(
        &self,
        text: &[u8],
        enriched: &[u8],
        generation: u64,
        section: Section,
    ) -> Option<&[u8]> {
        let (place, known) = self.find(text, enriched, generation);
        let told = self
            .told(place)
            .filter(|told| known && told.written >> section as u16 & 1 == 1)?;
        Some(told.section(section))
    }

    /// Keeps what was written for a text, as one section beside those that are there.
    pub fn learn(
        &mut self,
        text: &[u8],
        enriched: &[u8],
        generation: u64,
        section: Section,
        written: &[u8],
    ) {
        let (place, known) = self.find(text, enriched, generation);
        if !known {
            let told = self.take(place);
            self.put(place, told, text, enriched, generation);
        }
        if let Some(told) = self.places.get_mut(place.0) {
            told.keep(section, written);
        }
    }

    /// What was told at a place.
    #[must_use]
    pub fn told(&self, place: Place) -> Option<&Told> {
        self.places.get(place.0)
    }

    /// Takes a place to be written anew; until [`Memo::put`] it is empty.
    pub fn take(&mut self, place: Place) -> Told {
        let mut told = self
            .places
            .get_mut(place.0)
            .map(std::mem::take)
            .unwrap_or_default();
        told.key.clear();
        told.users.clear();
        told.written = 0;
        told.acting = Acting::default();
        told
    }

    /// Puts back what was written for a text.
    pub fn put(
        &mut self,
        place: Place,
        mut told: Told,
        who: &[u8],
        enriched: &[u8],
        generation: u64,
    ) {
        told.key.extend_from_slice(who);
        told.key.extend_from_slice(enriched);
        told.generation = generation;
        self.number += 1;
        told.number = self.number;
        if let Some(slot) = self.places.get_mut(place.0) {
            *slot = told;
        }
    }
}
