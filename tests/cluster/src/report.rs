//! Prints what the audit log holds as a table.

use std::fmt::Write;

use anyhow::Result;
use cluster::{AuditLog, count};

pub(crate) fn requests(log: &AuditLog, since: u64, agent: &str) -> Result<String> {
    let end = log.offset();
    let requests = log.requests_since(since)?;
    let counts = count(
        requests
            .iter()
            .filter(|request| request.agent.contains(agent)),
    );
    let mut text = String::new();
    for (kind, number) in counts {
        // The rest of an agent's name is its version and platform.
        let agent = kind.agent.split([' ', '/']).next().unwrap_or_default();
        let (verb, resource) = (&kind.verb, &kind.resource);
        writeln!(
            text,
            "{number:>7}  {agent:<26} {verb:<8} {resource:<34} {}",
            kind.code
        )?;
    }
    writeln!(text, "next: --since {end}")?;
    Ok(text)
}
