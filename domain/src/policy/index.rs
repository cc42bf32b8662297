//! An organization's policies, arranged for the question that every request asks: does this member reach that server?

use std::collections::{HashMap, HashSet};

use super::model::{PolicyResource, PolicySubject};
use crate::id::{GroupId, ServerId, UserId};

/// Which servers somebody reaches.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reach {
    every: bool,
    servers: HashSet<ServerId>,
}

impl Reach {
    /// Every server, also later ones.
    #[must_use]
    pub fn every() -> Self {
        Self { every: true, servers: HashSet::new() }
    }

    /// Whether it covers this server.
    #[must_use]
    pub fn permits(&self, server: ServerId) -> bool {
        self.every || self.servers.contains(&server)
    }

    /// What of it is among these servers.
    #[must_use]
    pub fn within(self, servers: &HashSet<ServerId>) -> Self {
        let servers = if self.every { servers.clone() } else { self.servers.intersection(servers).copied().collect() };
        Self { every: false, servers }
    }

    /// The servers, if they are a list; none for every server.
    #[must_use]
    pub fn listed(&self) -> Option<&HashSet<ServerId>> {
        (!self.every).then_some(&self.servers)
    }

    fn add(&mut self, resource: PolicyResource) {
        match resource {
            PolicyResource::EveryServer => self.every = true,
            PolicyResource::Server(server) => {
                self.servers.insert(server);
            }
        }
    }

    fn join(&mut self, other: &Self) {
        self.every |= other.every;
        self.servers.extend(&other.servers);
    }
}

/// All policies of one organization. Asking costs a few hash look-ups, however many policies there are.
#[derive(Debug, Default)]
pub struct AccessIndex {
    everyone: Reach,
    by_member: HashMap<UserId, Reach>,
    by_group: HashMap<GroupId, Reach>,
    // Only groups that a policy names.
    groups_of: HashMap<UserId, Vec<GroupId>>,
}

impl AccessIndex {
    /// Arranges policies. `groups` says who is in which group; those that no policy names are left out.
    #[must_use]
    pub fn new<'a>(
        policies: impl IntoIterator<Item = (&'a [PolicySubject], &'a [PolicyResource])>,
        groups: impl IntoIterator<Item = (GroupId, UserId)>,
    ) -> Self {
        let mut index = Self::default();
        for (subjects, resources) in policies {
            for subject in subjects {
                let reach = match subject {
                    PolicySubject::Everyone => &mut index.everyone,
                    PolicySubject::Group(group) => index.by_group.entry(*group).or_default(),
                    PolicySubject::Member(member) => index.by_member.entry(*member).or_default(),
                };
                for resource in resources {
                    reach.add(*resource);
                }
            }
        }
        for (group, member) in groups {
            if index.by_group.contains_key(&group) {
                index.groups_of.entry(member).or_default().push(group);
            }
        }
        index
    }

    /// Whether a member reaches a server.
    #[must_use]
    pub fn permits(&self, member: UserId, server: ServerId) -> bool {
        self.everyone.permits(server) || self.of_member(member).any(|reach| reach.permits(server))
    }

    /// All that a member reaches.
    #[must_use]
    pub fn reach(&self, member: UserId) -> Reach {
        let mut reach = self.everyone.clone();
        self.of_member(member).for_each(|more| reach.join(more));
        reach
    }

    fn of_member(&self, member: UserId) -> impl Iterator<Item = &Reach> {
        let groups = self.groups_of.get(&member).into_iter().flatten();
        self.by_member.get(&member).into_iter().chain(groups.filter_map(|group| self.by_group.get(group)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_add_up_and_what_none_gives_nobody_has() {
        let [ann, ben, carl] = [UserId::new(), UserId::new(), UserId::new()];
        let [notes, files, mail] = [ServerId::new(), ServerId::new(), ServerId::new()];
        let [writers, idle] = [GroupId::new(), GroupId::new()];
        let policies = [
            (vec![PolicySubject::Everyone], vec![PolicyResource::Server(notes)]),
            (vec![PolicySubject::Group(writers)], vec![PolicyResource::Server(files)]),
            (vec![PolicySubject::Member(carl)], vec![PolicyResource::EveryServer]),
            (vec![PolicySubject::Member(ben)], vec![]),
        ];
        let index = AccessIndex::new(
            policies.iter().map(|(subjects, resources)| (subjects.as_slice(), resources.as_slice())),
            [(writers, ann), (idle, ben)],
        );
        let reached = |member| [notes, files, mail].map(|server| index.permits(member, server));
        assert_eq!(reached(ann), [true, true, false]);
        assert_eq!(reached(ben), [true, false, false]);
        assert_eq!(reached(carl), [true, true, true]);
        for member in [ann, ben, carl] {
            assert_eq!(reached(member), [notes, files, mail].map(|server| index.reach(member).permits(server)));
        }
        assert_eq!(index.reach(ann).listed().map(HashSet::len), Some(2));
        assert_eq!(index.reach(carl).listed(), None);
    }

    #[test]
    fn narrowing_takes_away_and_never_adds() {
        let [notes, files, mail] = [ServerId::new(), ServerId::new(), ServerId::new()];
        let among = HashSet::from([notes, files]);
        let reached = |reach: &Reach| [notes, files, mail].map(|server| reach.permits(server));
        assert_eq!(reached(&Reach::every().within(&among)), [true, true, false]);
        let some = Reach { every: false, servers: HashSet::from([files, mail]) };
        assert_eq!(reached(&some.clone().within(&among)), [false, true, false]);
        assert_eq!(reached(&some.within(&HashSet::new())), [false; 3], "nothing is not everything");
        assert_eq!(Reach::every().within(&HashSet::new()).listed(), Some(&HashSet::new()));
    }

    #[test]
    fn without_policies_nobody_reaches_anything() {
        assert!(!AccessIndex::default().permits(UserId::new(), ServerId::new()));
        assert_eq!(AccessIndex::default().reach(UserId::new()), Reach::default());
    }
}
