//! Whoever edits the SidecarSet.

use model::set::{self, Part};
use serde_json::{Value, json};

use super::Sidecars;
use crate::world::World;

const IMAGES: [&str; 5] = ["agent:1", "agent:2", "agent:3", "agent:bad", "agent:crash"];

impl Sidecars {
    pub(super) fn edit(&mut self, world: &mut World) {
        let last = self.versions.len() - 1;
        if self.gone.contains(&last) || self.rng.u32(..12) == 0 {
            // It is deleted, or comes back as it was.
            let again = self.versions[last].clone();
            let is_gone = self.gone.contains(&last);
            self.versions.push(again);
            if !is_gone {
                self.gone.insert(last + 1);
            }
            world.tell(|| format!("USER of sidecars: the set is gone: {}", !is_gone));
            return;
        }
        let rng = &mut self.rng;
        let image = IMAGES[rng.usize(..IMAGES.len())];
        let (change, amount) = (rng.u32(..7), rng.u32(..4));
        let share = format!("{}%", rng.u32(..=4) * 25);
        self.change(world, |spec| {
            let strategy = &mut spec["updateStrategy"];
            match change {
                0 => strategy["partition"] = share.into(),
                1 => strategy["maxUnavailable"] = amount.into(),
                2 => strategy["paused"] = (amount == 0).into(),
                3 | 4 => strategy["markPodNotReady"] = (amount != 0).into(),
                _ => agent(spec)["image"] = image.into(),
            }
        });
    }

    fn change(&mut self, world: &mut World, change: impl FnOnce(&mut Value)) {
        let set = &self.versions[self.versions.len() - 1];
        let new = set::change(set, Part::Whole, |set| change(&mut set["spec"]));
        if !new.is(set) {
            world.tell(|| format!("USER of sidecars: {}", new["spec"]));
            self.versions.push(new);
        }
    }

    /// Everything that can be brought to `image` is to be.
    pub(crate) fn finish(&mut self, world: &mut World, image: &str) {
        let (max, drains) = (self.rng.u32(1..=3), self.rng.bool());
        let last = self.versions.len() - 1;
        if self.gone.contains(&last) {
            self.versions.push(self.versions[last].clone());
        }
        self.change(world, |spec| {
            spec["updateStrategy"] = json!({"maxUnavailable": max, "markPodNotReady": drains});
            agent(spec)["image"] = image.into();
        });
    }
}

fn agent(spec: &mut Value) -> &mut Value {
    let list = if spec["containers"].is_array() {
        "containers"
    } else {
        "initContainers"
    };
    &mut spec[list][0]
}
