//! The model's side of a sequence.

use model::server::{Refused, Server};
use planner::effect::Request;

use crate::events::{Event, Type};
use crate::names::{Kind, Names};
use crate::play::{Answered, told};
use crate::project::project;
use crate::real_side::ALLOCATABLE_CPUS;
use crate::step::{Action, Step};

pub(crate) struct ModelSide {
    node: &'static str,
    pub(crate) server: Server,
    pub(crate) names: Names,
}

impl ModelSide {
    pub(crate) fn new(node: &'static str) -> Self {
        let mut server = Server::default();
        server.journal = Some(Vec::new());
        server.allocatable_cpus = Some(ALLOCATABLE_CPUS);
        Self {
            node,
            server,
            names: Names::default(),
        }
    }

    pub(crate) fn play(&mut self, step: &Step) -> Answered {
        let kind = Kind::of(step.resource);
        let body = self.names.fill(kind, &step.name, &step.body);
        let answer = match step.action {
            Action::Request(verb) => self.server.perform(&Request {
                verb,
                resource: step.resource,
                name: step.name.clone(),
                body,
            }),
            Action::Bind => self.server.bind(&step.name, self.node).map(|()| None),
        };
        let outcome = match &answer {
            Ok(Some(_)) => "ok",
            Ok(None) => "ok, gone",
            Err(Refused::NotFound) => "not found",
            Err(Refused::Exists) => "already exists",
            Err(Refused::Conflict) => "conflict",
            Err(Refused::TestFailed) => "test failed",
            Err(Refused::OtherUid) => "other UID",
            Err(Refused::Invalid) => "invalid",
            Err(Refused::Forbidden) => "forbidden",
        };
        let object = self.server.read(step.resource, &step.name).cloned();
        // The scheduler is answered with nothing.
        let answer = answer
            .ok()
            .flatten()
            .filter(|_| step.action != Action::Bind);
        told(
            &mut self.names,
            kind,
            outcome,
            answer.as_deref(),
            object.as_deref(),
        )
    }

    /// What watches tell, in order.
    pub(crate) fn events(&self, kind: Kind) -> Vec<Event> {
        let mut seen = std::collections::BTreeSet::new();
        let changes = self.server.journal.iter().flatten();
        changes
            .filter(|change| Kind::of(change.resource) == kind)
            .map(|change| {
                let metadata = &change.object["metadata"];
                let is_first = seen.insert(metadata["uid"].to_string());
                let type_ = match (change.deleted, is_first) {
                    (true, _) => Type::Deleted,
                    (false, true) => Type::Added,
                    (false, false) => Type::Modified,
                };
                let version = metadata["resourceVersion"].as_str().unwrap_or_default();
                Event {
                    type_,
                    version: version.to_owned(),
                    name: change.name.clone(),
                    object: project(&self.names, &change.object),
                }
            })
            .collect()
    }
}
