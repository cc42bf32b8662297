//! Changing a project. Its slug stays: clients have it in their URLs.

use super::model::{Project, ProjectServer};
use crate::audit::{AuditEvent, AuditTarget};
use crate::id::ServerId;
use crate::policy::Reach;
use crate::text::{Description, Name};

/// What shall be different; none stays as it is.
#[derive(Debug, Clone, Default)]
pub struct ProjectChange {
    /// The name.
    pub name: Option<Name>,
    /// A longer explanation; none inside for none.
    pub description: Option<Option<Description>>,
    /// Other servers instead of those that whoever asks sees.
    pub servers: Option<Vec<ServerId>>,
    /// Put away, or brought back.
    pub archived: Option<bool>,
}

/// The project is put away, and the change does not bring it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the project is archived and does not change; `\"archived\": false` brings it back")]
pub struct Archived;

impl ProjectChange {
    /// The project with the change. `asked` are the servers that the change names, as they were found. Servers that
    /// whoever asks does not see stay: a list that was read, edited and sent back must not take out what it never had.
    ///
    /// # Errors
    /// [`Archived`]
    pub fn apply(self, before: &Project, asked: Vec<ProjectServer>, sees: &Reach) -> Result<Project, Archived> {
        let archived = self.archived.unwrap_or(before.archived);
        let more_than_archiving = self.name.is_some() || self.description.is_some() || self.servers.is_some();
        if before.archived && archived && more_than_archiving {
            return Err(Archived);
        }
        let servers = if self.servers.is_some() {
            let unseen = before.servers.iter().filter(|server| !sees.permits(server.id)).cloned();
            by_slug(asked.into_iter().chain(unseen).collect())
        } else {
            before.servers.clone()
        };
        Ok(Project {
            id: before.id,
            slug: before.slug.clone(),
            name: self.name.unwrap_or_else(|| before.name.clone()),
            description: self.description.unwrap_or_else(|| before.description.clone()),
            servers,
            workflows: before.workflows,
            archived,
            created_at: before.created_at,
        })
    }
}

/// Each server once, in the order in which they are shown.
#[must_use]
pub fn by_slug(mut servers: Vec<ProjectServer>) -> Vec<ProjectServer> {
    servers.sort_by(|a, b| a.slug.cmp(&b.slug));
    servers.dedup_by_key(|server| server.id);
    servers
}

/// What the log says of a change, by what became of the project: nothing when nothing did.
#[must_use]
pub fn events(before: &Project, after: &Project, event: &AuditEvent) -> Vec<AuditEvent> {
    let archiving = match (before.archived, after.archived) {
        (false, true) => Some("project.archive"),
        (true, false) => Some("project.restore"),
        (false, false) | (true, true) => None,
    };
    let updated = *before != Project { archived: before.archived, ..after.clone() };
    let actions = updated.then_some("project.update").into_iter().chain(archiving);
    actions.map(|action| event.one_of_many(action, AuditTarget::Project(after.id))).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::audit::AuditActor;
    use crate::id::ProjectId;
    use crate::server::ServerStatus;
    use crate::time::Timestamp;

    fn server(slug: &str) -> ProjectServer {
        let (slug, name) = (slug.parse().expect("a slug"), slug.parse().expect("a name"));
        ProjectServer { id: ServerId::new(), slug, name, status: ServerStatus::Active }
    }

    fn project(servers: Vec<ProjectServer>) -> Project {
        Project {
            id: ProjectId::new(),
            slug: "checkout".parse().expect("a slug"),
            name: "Checkout".parse().expect("a name"),
            description: None,
            servers,
            workflows: 2,
            archived: false,
            created_at: Timestamp::from_micros(0),
        }
    }

    fn slugs(project: &Project) -> Vec<&str> {
        project.servers.iter().map(|server| server.slug.as_str()).collect()
    }

    fn actions(before: &Project, after: &Project) -> Vec<&'static str> {
        let event = AuditEvent::unproven(AuditActor::System, "project.update", Timestamp::from_micros(0));
        events(before, after, &event).iter().map(|event| event.action).collect()
    }

    #[test]
    fn a_new_list_takes_out_what_was_seen_and_leaves_what_was_not() {
        let (seen, unseen, other) = (server("seen"), server("unseen"), server("a-new-one"));
        let before = project(vec![seen.clone(), unseen]);
        let change = || ProjectChange { servers: Some(vec![other.id]), ..ProjectChange::default() };
        let sees = Reach::every().within(&HashSet::from([seen.id, other.id]));
        let after = change().apply(&before, vec![other.clone(), other.clone()], &sees).expect("it changes");
        assert_eq!(slugs(&after), ["a-new-one", "unseen"]);
        let after = change().apply(&before, vec![other], &Reach::every()).expect("it changes");
        assert_eq!(slugs(&after), ["a-new-one"], "whoever sees every server replaces every one");
    }

    #[test]
    fn an_archived_project_changes_only_when_it_is_brought_back() {
        let archived = Project { archived: true, ..project(vec![]) };
        let name = Some("Another".parse::<Name>().expect("a name"));
        for (archive, refused) in [(None, true), (Some(true), true), (Some(false), false)] {
            let change = ProjectChange { name: name.clone(), archived: archive, ..ProjectChange::default() };
            assert_eq!(change.apply(&archived, vec![], &Reach::every()).is_err(), refused, "{archive:?}");
        }
        let again = ProjectChange { archived: Some(true), ..ProjectChange::default() };
        assert_eq!(again.apply(&archived, vec![], &Reach::every()), Ok(archived));
    }

    #[test]
    fn the_log_tells_what_became_of_a_project_and_nothing_of_what_did_not() {
        let before = project(vec![]);
        let renamed = Project { name: "Another".parse().expect("a name"), ..before.clone() };
        let filled = Project { servers: vec![server("notes")], ..before.clone() };
        let archived = Project { archived: true, ..before.clone() };
        let both = Project { archived: true, ..renamed.clone() };
        assert_eq!(actions(&before, &before), [""; 0]);
        assert_eq!(actions(&before, &renamed), ["project.update"]);
        assert_eq!(actions(&before, &filled), ["project.update"]);
        assert_eq!(actions(&before, &archived), ["project.archive"]);
        assert_eq!(actions(&archived, &before), ["project.restore"]);
        assert_eq!(actions(&before, &both), ["project.update", "project.archive"]);
    }
}
