//! What an event means, looked up by the system call or the record type that leads it: data/actions.tsv as a table.

use std::collections::HashMap;

use crate::fields::{self, name};
use crate::tables::{self, SyscallId};

/// A field that the table names: its number, or its text where it has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldName {
    /// Number in [`fields::name`].
    pub number: u8,
    /// The name.
    pub text: &'static str,
}

/// Which identities a record speaks of, beside the process that wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// None: `user` is the process's uid.
    Process,
    /// A log-in: `user` is the login user, `user.effective` the account.
    Account,
    /// A change of login id: `user` is the old one, `user.effective` the new.
    Login,
    /// An account is worked on: `user.target`.
    TargetUser,
    /// A group is worked on: `group`.
    TargetGroup,
}

/// What fills `auditd.summary.object`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// A PATH record, and `file`.
    File,
    /// The SOCKADDR record.
    Socket,
    /// The fields named in the row.
    Fields,
}

/// One row of the table.
#[derive(Debug)]
pub struct Action {
    /// `event.action`; empty where the system call's own name serves.
    pub action: &'static str,
    /// `event.category`.
    pub category: Vec<&'static str>,
    /// `event.type`.
    pub kind: Vec<&'static str>,
    /// Both as members of `event`, for an event that has no other row.
    pub told: String,
    /// Where the object comes from.
    pub object: Object,
    /// `auditd.summary.object.type`.
    pub object_type: &'static str,
    /// Fields tried for `summary.object.primary`.
    pub primary: Vec<FieldName>,
    /// Fields tried for `summary.object.secondary`.
    pub secondary: Vec<FieldName>,
    /// Fields tried for `summary.how`; none: exe, comm.
    pub how: Vec<FieldName>,
    /// Fields tried for `summary.actor.primary`; none: auid.
    pub actor: Vec<FieldName>,
    /// Fields tried for `summary.actor.secondary`; none: uid.
    pub actor_secondary: Vec<FieldName>,
    /// Which PATH record names the object.
    pub path: usize,
    /// Identities beside the process's.
    pub users: Users,
    /// The field that holds the peer's address.
    pub source: Option<FieldName>,
    /// The row counts only with this field present.
    pub only_if: Option<FieldName>,
}

/// The table.
#[derive(Debug)]
pub struct Actions {
    rows: Vec<Action>,
    syscalls: Vec<u16>,
    records: HashMap<u16, Vec<u16>>,
}

impl Default for Actions {
    fn default() -> Self {
        Self::read(include_str!("../data/actions.tsv"))
    }
}

impl Actions {
    fn read(text: &'static str) -> Self {
        let mut table = Self {
            rows: Vec::new(),
            syscalls: vec![0; SyscallId::COUNT],
            records: HashMap::new(),
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let columns: Vec<&'static str> = line.split('\t').collect();
            let &[kind, what, _, ..] = columns.as_slice() else {
                continue;
            };
            let row = u16::try_from(table.rows.len()).unwrap_or_default();
            match kind {
                "syscall" => {
                    if let Some(id) = SyscallId::from_name(what.as_bytes())
                        && let Some(place) = table.syscalls.get_mut(id.index())
                    {
                        *place = row;
                    }
                }
                "record" => {
                    if let Some(number) = tables::record_type_number(what.as_bytes()) {
                        table.records.entry(number).or_default().push(row);
                    }
                }
                _ => continue, // the line of column names
            }
            table.rows.push(Action::read(&columns));
        }
        table
    }

    /// The row of a system call; the first row is everyone's.
    #[must_use]
    pub fn of_syscall(&self, syscall: Option<SyscallId>) -> Option<&Action> {
        let row = syscall
            .and_then(|id| self.syscalls.get(id.index()))
            .copied()
            .unwrap_or_default();
        self.rows.get(row as usize)
    }

    /// The row of a record type, given which fields the event has.
    pub fn of_record(&self, kind: u16, mut has: impl FnMut(FieldName) -> bool) -> Option<&Action> {
        let rows = self.records.get(&kind)?;
        rows.iter()
            .filter_map(|row| self.rows.get(*row as usize))
            .find(|row| row.only_if.is_none_or(&mut has))
    }
}

impl Action {
    fn read(columns: &[&'static str]) -> Self {
        let column = |place: usize| {
            columns
                .get(place)
                .copied()
                .filter(|text| *text != "-")
                .unwrap_or_default()
        };
        let list = |place: usize| {
            column(place)
                .split(',')
                .filter(|text| !text.is_empty())
                .collect::<Vec<_>>()
        };
        let names = |place: usize| {
            list(place)
                .into_iter()
                .map(FieldName::new)
                .collect::<Vec<_>>()
        };
        Self {
            action: column(2),
            category: list(3),
            kind: list(4),
            told: [("category", list(3)), ("type", list(4))]
                .into_iter()
                .filter(|(_, words)| !words.is_empty())
                .map(|(name, words)| format!("\"{name}\":[\"{}\"]", words.join("\",\"")))
                .collect::<Vec<_>>()
                .join(","),
            object: match column(5) {
                "file" | "filesystem" => Object::File,
                "socket" => Object::Socket,
                _ => Object::Fields,
            },
            object_type: column(5),
            primary: names(6),
            secondary: names(7),
            how: names(8),
            actor: names(9),
            actor_secondary: names(10),
            path: column(11).parse().unwrap_or_default(),
            users: match column(12) {
                "account" => Users::Account,
                "login" => Users::Login,
                "target-user" => Users::TargetUser,
                "target-group" => Users::TargetGroup,
                _ => Users::Process,
            },
            source: names(13).first().copied(),
            only_if: names(14).first().copied(),
        }
    }
}

impl FieldName {
    fn new(text: &'static str) -> Self {
        Self {
            number: fields::number(text.as_bytes()),
            text,
        }
    }

    /// Whether a field of this number and label is meant.
    #[must_use]
    pub fn is(self, number: u8, label: &[u8]) -> bool {
        self.number == number && (number != name::OTHER || self.text.as_bytes() == label)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_again() {
        let text = include_str!("../data/actions.tsv");
        let table = Actions::default();
        let named: Vec<_> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .skip(1)
            .collect();
        assert_eq!(table.rows.len(), named.len());
        for line in named {
            let columns: Vec<_> = line.split('\t').collect();
            assert_eq!(columns.len(), 15, "{line}");
            if columns[0] == "record" {
                assert!(
                    tables::record_type_number(columns[1].as_bytes()).is_some(),
                    "{line}"
                );
            } else if columns[1] != "*" {
                assert!(
                    SyscallId::from_name(columns[1].as_bytes()).is_some(),
                    "{line}"
                );
            }
        }
        let open = SyscallId::from_name(b"openat");
        assert_eq!(table.of_syscall(open).unwrap().action, "opened-file");
        assert_eq!(table.of_syscall(None).unwrap().category, ["process"]);
        assert_eq!(
            table
                .of_record(1400, |field| field.text == "apparmor")
                .unwrap()
                .action,
            "violated-apparmor-policy"
        );
        assert_eq!(table.of_record(1006, |_| true).unwrap().users, Users::Login);
    }
}
