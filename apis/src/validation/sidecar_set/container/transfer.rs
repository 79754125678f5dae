//! Checks of `transferEnv`.

use std::collections::BTreeSet;

use super::{Lists, Source, Transfer};
use crate::sidecar_set::container::TransferEnv;
use crate::validation::labels::is_key;
use crate::validation::terms;

impl Lists<'_> {
    pub(super) fn transfers(&mut self, path: &str, transfers: &[TransferEnv]) -> Vec<Transfer> {
        let mut all = Vec::new();
        terms::limit(self.errors, &format!("{path}.transferEnv"), transfers.len());
        for (i, transfer) in transfers.iter().enumerate() {
            let path = format!("{path}.transferEnv[{i}]");
            let count = transfer.env_names.len();
            terms::limit(self.errors, &format!("{path}.envNames"), count);
            let names: BTreeSet<&String> = transfer
                .env_names
                .iter()
                .chain([&transfer.env_name])
                .filter(|name| !name.is_empty())
                .collect();
            if names.is_empty() {
                self.refuse(
                    format!("{path}.envName"),
                    "is empty, and so is envNames; name a variable",
                );
            }
            if let Some(source) = self.source(&path, transfer) {
                all.push(Transfer {
                    source,
                    names: names.into_iter().cloned().collect(),
                });
            }
        }
        all
    }

    fn source(&mut self, path: &str, transfer: &TransferEnv) -> Option<Source> {
        let from = transfer.source_container_name_from.as_ref();
        let Some(field) = from.and_then(|from| from.field_ref.as_ref()) else {
            let name = transfer.source_container_name.clone();
            if name.is_empty() {
                self.refuse(
                    format!("{path}.sourceContainerName"),
                    "is empty; name the container that has the variable",
                );
                return None;
            }
            return Some(Source::Container(name));
        };
        let path = format!("{path}.sourceContainerNameFrom.fieldRef");
        let version = field.api_version.as_deref().unwrap_or("v1");
        if !version.is_empty() && version != "v1" {
            self.refuse(
                format!("{path}.apiVersion"),
                format!("{version:?} is not v1; remove it"),
            );
        }
        let text = field.field_path.as_str();
        let key = |prefix: &str| {
            let rest = text.strip_prefix(prefix)?.strip_prefix("['")?;
            rest.strip_suffix("']").filter(|key| is_key(key))
        };
        let label = key("metadata.labels").map(|key| Source::Label(key.to_owned()));
        let source =
            label.or_else(|| key("metadata.annotations").map(|k| Source::Annotation(k.to_owned())));
        if source.is_none() {
            self.refuse(
                format!("{path}.fieldPath"),
                format!(
                    "{text:?} is neither metadata.labels['KEY'] nor metadata.annotations['KEY']"
                ),
            );
        }
        source
    }
}
