//! Volumes that are claims: what a Pod waits for before it starts.

use serde::{Deserialize, Deserializer, Serialize};

use super::Pod;

/// A volume that is a claim, projected.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Volume {
    /// Unique in the Pod.
    pub name: Box<str>,
    /// None for volumes of any other kind, which are not kept.
    pub persistent_volume_claim: Option<ClaimVolume>,
}

/// Which claim a volume is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimVolume {
    /// Its name.
    pub claim_name: Box<str>,
}

pub(super) fn of_claims<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<Volume>, D::Error> {
    let mut all = Option::<Vec<Volume>>::deserialize(deserializer)?.unwrap_or_default();
    all.retain(|volume| volume.persistent_volume_claim.is_some());
    Ok(all)
}

impl Pod {
    /// The claims without which the Pod cannot start: its volume's name, and the claim's. Only
    /// those that are named after the Pod, and only before it starts.
    pub fn awaited_claims(&self) -> impl Iterator<Item = (&str, &str)> {
        let volumes = self.spec.volumes.iter();
        volumes.filter_map(|volume| {
            let claim = volume.persistent_volume_claim.as_ref()?;
            Some((&*volume.name, &*claim.claim_name))
        })
    }
}
