//! Reads the API server's audit log: who asked for what, and how often.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead, BufReader, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use serde::Deserialize;

use crate::error::{Error, Result};

/// One line per finished request, in the order they finished. It is never rotated.
#[derive(Clone, Debug)]
pub struct AuditLog {
    path: PathBuf,
}

/// One finished request. Fields that do not apply are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    pub agent: String,
    pub user: String,
    pub verb: String,
    pub resource: String,
    pub subresource: String,
    pub namespace: String,
    pub name: String,
    pub code: u16,
}

/// What `count` groups by; `resource` holds the subresource too, as in `pods/status`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kind {
    pub agent: String,
    pub verb: String,
    pub resource: String,
    pub code: u16,
}

pub fn count<'a>(requests: impl IntoIterator<Item = &'a Request>) -> BTreeMap<Kind, usize> {
    let mut counts = BTreeMap::new();
    for request in requests {
        let resource = match request.subresource.as_str() {
            "" => request.resource.clone(),
            subresource => format!("{}/{subresource}", request.resource),
        };
        let (agent, verb) = (request.agent.clone(), request.verb.clone());
        let kind = Kind {
            agent,
            verb,
            resource,
            code: request.code,
        };
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

impl AuditLog {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The end of the log by now.
    pub fn offset(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |metadata| metadata.len())
    }

    pub fn requests_since(&self, offset: u64) -> Result<Vec<Request>> {
        let what = format!("read {}", self.path.display());
        let mut file = File::open(&self.path).map_err(Error::io(what.clone()))?;
        file.seek(SeekFrom::Start(offset))
            .map_err(Error::io(what.clone()))?;
        let mut requests = Vec::new();
        let mut lines = BufReader::new(file);
        let mut line = String::new();
        while lines
            .read_line(&mut line)
            .map_err(Error::io(what.clone()))?
            > 0
        {
            // The last line may be half written; it belongs to the next reading.
            if line.ends_with('\n') {
                requests.push(self.parse(&line)?);
            }
            line.clear();
        }
        Ok(requests)
    }

    fn parse(&self, line: &str) -> Result<Request> {
        let event: Event = serde_json::from_str(line).map_err(|error| Error::Format {
            path: self.path.clone(),
            reason: error.to_string(),
        })?;
        Ok(event.into())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    #[serde(default)]
    user: User,
    #[serde(default)]
    user_agent: String,
    #[serde(default)]
    object_ref: Object,
    #[serde(default)]
    response_status: Status,
}

#[derive(Default, Deserialize)]
struct User {
    #[serde(default)]
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Object {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let Object {
            resource,
            subresource,
            namespace,
            name,
        } = event.object_ref;
        Self {
            agent: event.user_agent,
            user: event.user.username,
            verb: event.verb,
            resource,
            subresource,
            namespace,
            name,
            code: event.response_status.code,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"kind":"Event","stage":"ResponseComplete","verb":"patch","user":{"username":"system:admin","groups":["a"]},"userAgent":"insitu-manager/0.1","objectRef":{"resource":"pods","namespace":"shop","name":"web-0","apiVersion":"v1","subresource":"status"},"responseStatus":{"metadata":{},"code":200}}"#;

    fn log(name: &str, text: &str) -> AuditLog {
        let path = std::env::temp_dir().join(format!("insitu-{name}-{}", std::process::id()));
        fs::write(&path, text).unwrap();
        AuditLog::new(path)
    }

    #[test]
    fn a_line_tells_who_did_what() {
        let log = log("one", &format!("{LINE}\n{{\"verb\":\"get\"}}\n"));
        let requests = log.requests_since(0).unwrap();
        assert_eq!(requests[0].agent, "insitu-manager/0.1");
        assert_eq!(
            (requests[0].subresource.as_str(), requests[0].code),
            ("status", 200)
        );
        assert_eq!(
            requests[1],
            Request {
                verb: "get".into(),
                ..Request::default()
            }
        );
        let counts = count(&requests);
        assert_eq!(
            counts
                .iter()
                .find(|(k, _)| k.resource == "pods/status")
                .unwrap()
                .1,
            &1
        );
    }

    #[test]
    fn reading_starts_at_the_offset_and_leaves_half_a_line() {
        let log = log("two", &format!("{LINE}\n{LINE}\n{{\"verb\":"));
        assert_eq!(log.requests_since(LINE.len() as u64 + 1).unwrap().len(), 1);
    }
}
