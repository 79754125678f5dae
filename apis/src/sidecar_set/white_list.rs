//! Which annotations SidecarSets may give to Pods: the ConfigMap that OpenKruise's users have.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::core::{Selector, SelectorExt};
use regex::Regex;
use serde::Deserialize;

use crate::FieldError;
use crate::sidecar_set::PatchPodMetadata;

/// Key of the ConfigMap `kruise-configuration` that holds the list.
pub const KEY: &str = "SidecarSet_PatchPodMetadata_WhiteList";

/// Which annotations SidecarSets may give to Pods.
#[derive(Clone, Debug)]
pub enum WhiteList {
    /// All of them.
    Everything,
    /// What one of the rules allows; without rules, none.
    Rules(Vec<Rule>),
}

/// One rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// For which SidecarSets, by their labels.
    sets: Selector,
    /// Which annotations, by a part of their key.
    keys: Vec<Regex>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct Written {
    rules: Vec<WrittenRule>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct WrittenRule {
    selector: Option<LabelSelector>,
    allowed_annotation_key_exprs: Vec<String>,
}

/// A regular expression that costs no more than it is worth.
pub(crate) fn expression(text: &str) -> Result<Regex, String> {
    let built = regex::RegexBuilder::new(text)
        .size_limit(1 << 18)
        .nest_limit(64)
        .build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => format!("{text:?} is too large"),
        _ => format!("{text:?} is no regular expression"),
    })
}

impl WhiteList {
    /// Nothing is allowed: as without a ConfigMap.
    pub const fn nothing() -> Self {
        Self::Rules(Vec::new())
    }

    /// Reads the list.
    ///
    /// # Errors
    /// A sentence that says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let written: Written = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let rules = written.rules.into_iter().enumerate().map(|(i, rule)| {
            let sets = Selector::try_from(rule.selector.unwrap_or_default())
                .map_err(|error| format!("rules[{i}].selector: {error}"))?;
            let keys = rule.allowed_annotation_key_exprs.iter();
            let keys: Result<_, _> = keys.map(|text| expression(text)).collect();
            let keys =
                keys.map_err(|why| format!("rules[{i}].allowedAnnotationKeyExprs: {why}"))?;
            Ok(Rule { sets, keys })
        });
        Ok(Self::Rules(rules.collect::<Result<_, String>>()?))
    }

    /// Whether a SidecarSet with these labels may give Pods this annotation.
    pub fn allows(&self, labels: &BTreeMap<String, String>, key: &str) -> bool {
        match self {
            Self::Everything => true,
            Self::Rules(rules) => rules.iter().any(|rule| {
                rule.sets.matches(labels) && rule.keys.iter().any(|regex| regex.is_match(key))
            }),
        }
    }

    /// The annotations in `spec.patchPodMetadata` that are not allowed.
    pub fn check(
        &self,
        labels: &BTreeMap<String, String>,
        patches: &[PatchPodMetadata],
    ) -> Vec<FieldError> {
        let mut errors = Vec::new();
        for (i, patch) in patches.iter().enumerate() {
            for key in patch.annotations.keys() {
                if !self.allows(labels, key) {
                    errors.push(FieldError::invalid(
                        format!("spec.patchPodMetadata[{i}].annotations"),
                        format!("{key:?} is not on the white list; add a rule to {KEY}"),
                    ));
                }
            }
        }
        errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_is_for_some_sets_and_some_keys() {
        let text = r#"{"rules": [
            {"selector": {"matchLabels": {"team": "mesh"}}, "allowedAnnotationKeyExprs": ["^mesh/"]},
            {"allowedAnnotationKeyExprs": ["score"]}]}"#;
        let list = WhiteList::parse(text).unwrap();
        let mesh = BTreeMap::from([("team".to_owned(), "mesh".to_owned())]);
        assert!(list.allows(&mesh, "mesh/port") && list.allows(&mesh, "oom-score/x"));
        assert!(!list.allows(&BTreeMap::new(), "mesh/port"));
        assert!(!WhiteList::nothing().allows(&mesh, "mesh/port"));
        assert!(WhiteList::Everything.allows(&mesh, "any"));
    }

    #[test]
    fn what_is_wrong_with_a_list_is_said_with_its_place() {
        let wrong = |text| WhiteList::parse(text).unwrap_err();
        let error = wrong(r#"{"rules": [{"allowedAnnotationKeyExprs": ["("]}]}"#);
        assert!(
            error.starts_with("rules[0].allowedAnnotationKeyExprs"),
            "{error}"
        );
        let error = wrong(
            r#"{"rules": [{"selector": {"matchExpressions": [{"key": "a",
            "operator": "Near"}]}}]}"#,
        );
        assert!(error.starts_with("rules[0].selector"), "{error}");
        assert!(WhiteList::parse("[").is_err());
    }
}
