//! CloneSets: what the model makes of a patch of one, or of its status, is what the API server makes
//! of it.

use std::fmt::Write as _;

use kube::api::{Api, DynamicObject, Patch, PatchParams, PostParams};
use model::object::Object;
use model::server::Refused;
use model::set::{self, Part};
use serde_json::{Value, json};

const NAME: &str = "played";
const NOBODY: &str = "00000000-0000-0000-0000-000000000000";

fn start() -> Value {
    json!({
        "apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": NAME},
        "spec": {
            "replicas": 1,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [{"name": "main", "image": "app:1"}]},
            },
        },
    })
}

/// The status without counts of nothing, which the schema adds and the model does not know of.
fn status(set: &Value) -> Value {
    let fields = set["status"].as_object().into_iter().flatten();
    let told = fields.filter(|(_, value)| **value != 0);
    told.map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

/// The versions that one side's set has had.
struct Side(Vec<String>);

impl Side {
    /// Takes note of `set`. Returns what is compared of it, and whether it is another version.
    fn learn(&mut self, set: &Value) -> (Value, bool) {
        let metadata = &set["metadata"];
        let version = metadata["resourceVersion"].as_str().unwrap_or_default();
        let moved = self.0.last().is_none_or(|last| last != version);
        if moved {
            self.0.push(version.to_owned());
        }
        let pick = json!({
            "generation": metadata["generation"], "labels": metadata["labels"],
            "annotations": metadata["annotations"], "spec": set["spec"],
            "status": status(set),
        });
        (pick, moved)
    }

    /// `body` with this side's words.
    fn fill(&self, body: &str, uid: &Value) -> Value {
        let back = |steps: usize| {
            let at = self.0.len().checked_sub(1 + steps);
            let version = at.and_then(|at| self.0.get(at));
            version.map_or("2147483647", String::as_str)
        };
        let body = body
            .replace("$rv", back(0))
            .replace("$old", back(1))
            .replace("$uid", uid.as_str().unwrap_or_default())
            .replace("$nobody", NOBODY);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{error}: {body}"))
    }
}

async fn ask(sets: &Api<DynamicObject>, part: Part, body: &Value) -> String {
    let params = PatchParams::default();
    let patch = Patch::Merge(body);
    let answer = match part {
        Part::Whole => sets.patch(NAME, &params, &patch).await,
        Part::Status => sets.patch_status(NAME, &params, &patch).await,
    };
    match answer {
        Ok(_) => "ok".to_owned(),
        Err(kube::Error::Api(status)) => status.reason.clone(),
        Err(error) => panic!("{body}: {error}"),
    }
}

fn claim(set: &mut Object, part: Part, body: &Value) -> String {
    let refused = match set::merge(set, part, body) {
        Ok(new) => {
            *set = new;
            return "ok".to_owned();
        }
        Err(refused) => refused,
    };
    match refused {
        Refused::Conflict => "Conflict",
        Refused::OtherUid => "Invalid",
        other => panic!("{body}: {other:?}"),
    }
    .to_owned()
}

/// Plays each sequence of `text` on both sides.
pub(crate) async fn compare(sets: Api<DynamicObject>, text: &str) {
    for sequence in text.split("\n== ").skip(1) {
        let mut story = String::new();
        let sent = serde_json::from_value(start()).expect("an object");
        let made = sets.create(&PostParams::default(), &sent).await;
        let uid = json!(made.expect("a set").metadata.uid);
        let mut model = start();
        model["metadata"]["uid"] = uid.clone();
        let mut model = set::create(model);
        let (mut server_side, mut model_side) = (Side(Vec::new()), Side(Vec::new()));
        let read = async || json!(sets.get(NAME).await.expect("the set"));
        assert_eq!(
            server_side.learn(&read().await),
            model_side.learn(&model),
            "{sequence}"
        );
        for line in sequence.lines().skip(1).filter(|line| !line.is_empty()) {
            let (part, body) = match line.split_once(' ') {
                Some(("spec", body)) => (Part::Whole, body),
                Some(("status", body)) => (Part::Status, body),
                _ => panic!("{line} is no request"),
            };
            let told = ask(&sets, part, &server_side.fill(body, &uid)).await;
            let claimed = claim(&mut model, part, &model_side.fill(body, &uid));
            let told = (told, server_side.learn(&read().await));
            let claimed = (claimed, model_side.learn(&model));
            let _ = writeln!(story, "{line} -> {}", told.0);
            assert_eq!(told, claimed, "the server's and the model's after\n{story}");
        }
        let deleted = sets.delete(NAME, &kube::api::DeleteParams::default()).await;
        deleted.expect("the set goes");
    }
}
