//! `user.changes`: the ids that an event gave the process that acted, and which they were before.

use crate::decode::value::Owner;
use crate::ecs::file::octal;
use crate::ecs::pen::Pen;
use crate::ecs::user::known_name;
use crate::event::{View, hex_number};
use crate::fields::{self, name};
use crate::json::{self, Object};
use crate::process::seen::Credentials;
use crate::record::{decimal, kind};

/// Of each place in [`Credentials`]: whose id it is, and the field that has it.
const PLACES: [(Owner, u8); 8] = [
    (Owner::User, name::UID),
    (Owner::User, name::EUID),
    (Owner::User, name::SUID),
    (Owner::User, name::FSUID),
    (Owner::Group, name::GID),
    (Owner::Group, name::EGID),
    (Owner::Group, name::SGID),
    (Owner::Group, name::FSGID),
];

/// The places of a user's ids; those of its groups follow in the same order.
const USER: [usize; 4] = [0, 1, 2, 3];
const GROUPS: usize = USER.len();

/// An id in each place that has one.
type Ids = [Option<u32>; 8];

/// The ids that changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    became: Ids,
    /// Those that are known.
    was: Ids,
    now: Credentials,
}

/// Which ids an event may have changed, and those whose value before its own records tell.
struct Reach {
    places: [bool; 8],
    told: Ids,
    /// The file's mode says that it gave the ids.
    granted: bool,
}

impl Changes {
    /// What the event changed: `before` are the ids that the process had when it was last seen, `after` those that the
    /// record has.
    ///
    /// The calls change only some of the ids (kernel/sys.c), and running a program only those that the file's set-user-id
    /// and set-group-id bits give (`bprm_fill_uid`, fs/exec.c). Where another differs, `before` is of too long ago to
    /// tell. Without it a call is silent, but setfsuid and setfsgid return the old id; and a file that gave an id that
    /// is not the process's own is taken to have changed it.
    #[must_use]
    pub fn of(view: &View<'_>, before: Option<Credentials>, after: Credentials) -> Option<Self> {
        let reach = Reach::of(view, after)?;
        let before = before.filter(|before| {
            (0..PLACES.len()).all(|place| reach.has(place) || before.get(place) == after.get(place))
        });
        let mut changes = Self {
            became: [None; 8],
            was: [None; 8],
            now: after,
        };
        for (place, id) in after
            .into_iter()
            .enumerate()
            .filter(|(place, _)| reach.has(*place))
        {
            let was = before
                .and_then(|before| before.get(place).copied())
                .or(reach.told.get(place).copied().flatten());
            let own = after.get(place / GROUPS * GROUPS).copied();
            let changed = match was {
                Some(was) => was != id,
                None => reach.granted && own != Some(id),
            };
            if changed
                && let (Some(to), Some(from)) =
                    (changes.became.get_mut(place), changes.was.get_mut(place))
            {
                (*to, *from) = (Some(id), was);
            }
        }
        (changes.became != [None; 8]).then_some(changes)
    }

    /// Adds `"changes":{...}` to the user that was just written at the end of the line, and all names to the related.
    pub fn write(&self, view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
        if pen.out.pop() != Some(b'}') {
            return;
        }
        self.identities(view, pen, parent, "changes", &self.became);
        pen.out.push(b'}');
        let users = USER
            .into_iter()
            .filter_map(|place| self.was.get(place).copied().flatten());
        for id in users {
            let label = self.label(Owner::User, id);
            let text = id.to_string();
            if let Some(found) = known_name(
                view,
                pen.system,
                view.actor(),
                label,
                text.as_bytes(),
                Owner::User,
            ) {
                pen.related.users.add(found);
            }
        }
    }

    /// Writes `"user":{"before":{...}}`: which the ids were, as far as it is known.
    pub fn write_before(&self, view: &View<'_>, pen: &mut Pen<'_>, parent: &Object) {
        let user = Object::member(pen.out, parent, "user");
        self.identities(view, pen, &user, "before", &self.was);
        user.close(pen.out);
    }

    /// Writes `ids` as a member of `parent` in the form of `user`: `"NAME":{"id":..,"group":{..},"effective":{..},..}`.
    fn identities(
        &self,
        view: &View<'_>,
        pen: &mut Pen<'_>,
        parent: &Object,
        member: &str,
        ids: &Ids,
    ) {
        let object = Object::member(pen.out, parent, member);
        for (name, place) in ["", "effective", "saved", "filesystem"]
            .into_iter()
            .zip(USER)
        {
            let inner = (place > 0).then(|| Object::member(pen.out, &object, name));
            let user = inner.as_ref().unwrap_or(&object);
            self.identity(view, pen, user, place, ids);
            let group = Object::member(pen.out, user, "group");
            self.identity(view, pen, &group, place + GROUPS, ids);
            group.close(pen.out);
            if let Some(inner) = inner {
                inner.close(pen.out);
            }
        }
        object.close(pen.out);
    }

    fn identity(
        &self,
        view: &View<'_>,
        pen: &mut Pen<'_>,
        object: &Object,
        place: usize,
        ids: &Ids,
    ) {
        let (Some(id), Some((owner, _))) = (ids.get(place).copied().flatten(), PLACES.get(place))
        else {
            return;
        };
        let text = id.to_string();
        pen.text(object, "id", text.as_bytes());
        let label = self.label(*owner, id);
        let found = known_name(
            view,
            pen.system,
            view.actor(),
            label,
            text.as_bytes(),
            *owner,
        );
        if let Some(found) = found {
            object.name(pen.out, "name");
            pen.intact &= json::string(pen.out, found);
            if *owner == Owner::User {
                pen.related.users.add(found);
            }
        }
    }

    /// The field by which an ENRICHED log names an id, if it is one of those that the record has.
    fn label(&self, owner: Owner, id: u32) -> &'static [u8] {
        let mut fields = PLACES.iter().zip(self.now);
        let same = fields.find(|((other, _), now)| *other == owner && *now == id);
        same.map_or(b"?", |((_, number), _)| fields::literal(*number))
    }
}

impl Reach {
    /// Which ids the event's call may have changed; `None` if it went wrong or is about something else.
    fn of(view: &View<'_>, after: Credentials) -> Option<Self> {
        let (arch, call) = view.call();
        let call = call?.name();
        if !(call.starts_with("set") || call.starts_with("exec"))
            || view.of_actor(name::SUCCESS) != b"yes"
        {
            return None;
        }
        let wide = call.strip_suffix("32");
        // -1 leaves an id as it is; to the old calls of 32-bit architectures it is of 16 bits (kernel/uid16.c).
        let old = wide.is_none()
            && arch.is_some_and(|arch| matches!(arch.name(), "i386" | "arm" | "s390"));
        let all = if old { 0xffff } else { 0xffff_ffff };
        let set = |number| hex_number(view.of_actor(number)).is_none_or(|id| id & all != all);
        let (user, all) = match wide.unwrap_or(call) {
            "setuid" => (true, [true; 4]),
            "setgid" => (false, [true; 4]),
            "setreuid" => (true, [set(name::A0), set(name::A1), true, true]),
            "setregid" => (false, [set(name::A0), set(name::A1), true, true]),
            "setresuid" => (true, [set(name::A0), set(name::A1), set(name::A2), true]),
            "setresgid" => (false, [set(name::A0), set(name::A1), set(name::A2), true]),
            "setfsuid" => (true, [false, false, false, true]),
            "setfsgid" => (false, [false, false, false, true]),
            "execve" | "execveat" => return Self::of_exec(view, after),
            _ => return None,
        };
        let mut reach = Self {
            places: [false; 8],
            told: [None; 8],
            granted: false,
        };
        let first = if user { 0 } else { GROUPS };
        for (place, changed) in (first..).zip(all) {
            if let Some(slot) = reach.places.get_mut(place) {
                *slot = changed;
            }
        }
        if call.starts_with("setfs")
            && let Some(slot) = reach.told.get_mut(first + 3)
        {
            *slot = decimal(view.of_actor(name::EXIT)).and_then(|id| u32::try_from(id).ok());
        }
        Some(reach)
    }

    /// The ids that the file which is run from now on has given: those of its owner and group, if it has the bits.
    fn of_exec(view: &View<'_>, after: Credentials) -> Option<Self> {
        const SET_USER: u32 = 0o4000;
        /// Without the group's right to execute it is another mark (S_ISGID, inode(7)).
        const SET_GROUP: u32 = 0o2010;
        let [_, effective, _, _, _, effective_group, ..] = after;
        let mut places = [false; 8];
        for part in view.parts(kind::PATH) {
            let value = |number| view.field(part, number).map(|field| view.value(field));
            let id = |number| {
                let id = value(number).and_then(decimal)?;
                u32::try_from(id).ok()
            };
            let mode = value(name::MODE).and_then(octal).unwrap_or_default();
            let user = mode & SET_USER != 0 && id(name::OUID) == Some(effective);
            let group = mode & SET_GROUP == SET_GROUP && id(name::OGID) == Some(effective_group);
            let given = [false, user, user, user, false, group, group, group];
            for (place, given) in places.iter_mut().zip(given) {
                *place |= given;
            }
        }
        places.contains(&true).then_some(Self {
            places,
            told: [None; 8],
            granted: true,
        })
    }

    fn has(&self, place: usize) -> bool {
        self.places.get(place).copied().unwrap_or_default()
    }
}
