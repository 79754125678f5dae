//! How a run comes to rest, and where it has to stand then.

use jiff::SignedDuration;
use model::hooks;
use model::watchdog::{is_active, serves};
use planner::reason::Reason;
use serde_json::Value;

use super::{Life, Trouble};
use crate::sidecars::Sidecars;
use crate::users;

impl Life<'_> {
    /// Writes that one update of one Pod may take (docs/concepts.md).
    pub(super) fn writes_max(&self) -> usize {
        let spec = &self.world.set["spec"];
        let containers = &spec["template"]["spec"]["containers"];
        let hooks = &spec["lifecycle"];
        let rolling = &spec["updateStrategy"]["rollingUpdate"];
        let extra = [
            // It may be taken back: patched and let in once more.
            (rolling["rollbackOnDeadline"] == true, 2),
            (!containers[0]["resources"].is_null(), 1),
            // A batch more.
            (containers[1].is_object(), 1),
            (!hooks["preNormal"].is_null(), 1),
            (!hooks["inPlaceUpdate"].is_null(), 3),
            (!hooks["preDelete"].is_null(), 1),
            (!spec["volumeClaimTemplates"].is_null(), 1),
        ];
        let extra = extra.into_iter().filter(|(has, _)| *has);
        3 + extra.map(|(_, writes)| writes).sum::<usize>()
    }

    /// The trouble ends, everything comes to rest, and stands where the spec wants it.
    pub(super) fn end(&mut self) {
        self.trouble = Trouble::none();
        self.one_process();
        users::calm(&mut self.world, &mut self.rng);
        self.finish_sidecars("agent:8");
        if self.world.is_rich && self.more.u32(..3) == 0 {
            self.without_owner();
        }
        self.settle();
        self.check_partition();
        users::finish(&mut self.world);
        self.finish_sidecars("agent:9");
        self.settle();
        self.check_end();
        if self.sidecars.is_some() {
            Sidecars::check_end(&self.world, "agent:9");
        }
    }

    fn finish_sidecars(&mut self, image: &str) {
        if let Some(sidecars) = &mut self.sidecars {
            sidecars.finish(&mut self.world, image);
        }
    }

    /// One step of the sidecars' process. Returns whether there was one.
    fn act_on_sidecars(&mut self) -> bool {
        let sidecars = self.sidecars.as_mut();
        sidecars.is_some_and(|s| s.act(&mut self.world, Trouble::none()))
    }

    /// Whoever owns the hooks never answers: that is a rest too. What they hold stays as it is, and
    /// says why.
    fn without_owner(&mut self) {
        self.world.is_owner_silent = true;
        self.world.tell(|| "the owner of hooks is silent".into());
        self.settle();
        let now = self.world.server.now;
        let lifecycle = self.world.lifecycle();
        let Some((plan, _, pods)) = self.processes[0].plan(now) else {
            panic!("no rest: the set is not in the cache")
        };
        for (place, reason) in &plan.pods {
            let name = pods[*place].name();
            let pod: &Value = &self.world.server.pods[name];
            if is_active(pod) && hooks::is_waited_for(&lifecycle, pod) {
                assert_eq!(reason.as_str(), "WaitingHook", "end: {reason} of {pod}");
            }
            // Of two tags of one digest the runtime reports one. Where the kubelet does not say what it
            // has seen, nobody knows which of them a container was started with that may have been
            // left alone.
            let is_silent = pod["status"]["observedGeneration"].is_null();
            let is_untold = is_silent && model::kubelet::is_retagged(pod);
            let is_kept = *reason == Reason::Patched && !is_untold;
            let is_under_way = is_kept
                || matches!(
                    reason,
                    Reason::Draining
                        | Reason::WaitingGrace
                        | Reason::WaitingKubelet
                        | Reason::Resizing
                        | Reason::WaitingClaim(_)
                        | Reason::BackingOff { .. }
                );
            assert!(!is_under_way, "end: stays {reason} without an owner: {pod}");
        }
        self.world.is_owner_silent = false;
    }

    fn check_partition(&mut self) {
        let active = self.world.active();
        if !active.iter().all(|p| serves(p)) {
            return;
        }
        let replicas = self.world.set["spec"]["replicas"].as_u64();
        let current = self.world.set["status"]["currentRevision"].as_str();
        if current.is_some_and(|name| !self.world.server.revisions.contains_key(name)) {
            // Nothing can be made of what nobody remembers, or go back to it.
            assert!(active.len() as u64 <= replicas.unwrap_or_default());
            return;
        }
        let status = &self.world.set["status"];
        // A count that has never been anything but 0 is not written.
        let updated = Some(status["updatedReplicas"].as_u64().unwrap_or_default());
        let is_mixed = status["updateRevision"] != status["currentRevision"];
        let expected = status["expectedUpdatedReplicas"].as_u64();
        let expected = if is_mixed { expected } else { replicas };
        assert_eq!(
            (Some(active.len() as u64), updated),
            (replicas, expected),
            "end: rest at another place than the partition: {status}"
        );
    }

    fn check_end(&mut self) {
        let active = self.world.active();
        let replicas = self.world.set["spec"]["replicas"]
            .as_u64()
            .unwrap_or_default();
        let images: Vec<&Value> = active
            .iter()
            .map(|p| &p["spec"]["containers"][0]["image"])
            .collect();
        assert!(
            images.iter().all(|image| *image == "web:9") && images.len() as u64 == replicas,
            "end: {images:?}, {replicas} wanted"
        );
        assert!(
            active.iter().all(|p| serves(p)),
            "end: a Pod does not serve"
        );
        let status = &self.world.set["status"];
        for count in ["replicas", "updatedReplicas", "availableReplicas"] {
            let count = status[count].as_u64().unwrap_or_default();
            assert_eq!(count, replicas, "end: {status}");
        }
        let current = &status["currentRevision"];
        let is_done = *current == status["updateRevision"];
        assert!(is_done || replicas == 0, "end: {status}");
        let ready = status["conditions"].as_array();
        let ready = ready.into_iter().flatten().find(|c| c["type"] == "Ready");
        assert!(
            ready.is_some_and(|c| c["status"] == "True"),
            "end: {status}"
        );
    }

    /// Runs without trouble until nothing changes any more, and checks that it is a rest.
    pub(super) fn settle(&mut self) {
        for round in 0..400 {
            self.deliver_all();
            let before = self.world.written;
            // What is left, then whatever follows from it.
            for acted in 0.. {
                let has_acted = self.act_on_sidecars();
                if !self.act(0) && !has_acted {
                    break;
                }
                if acted % 16 == 15 {
                    self.deliver_all();
                }
                assert!(acted < 1000, "no rest: it never stops to write");
            }
            self.deliver_all();
            let wrote = self.world.written > before;
            let mut moved = false;
            // Kubelets are faster or slower than the manager.
            for _ in 0..self.rng.u32(1..=4) {
                let mut has_moved = false;
                for name in self.world.pod_names() {
                    has_moved |= self.world.sync(&name, &mut self.rng);
                }
                moved |= has_moved;
                if !has_moved {
                    break;
                }
            }
            if self.world.is_rich && (!moved || self.rng.bool()) {
                moved |= self.world.collect_garbage();
                for name in self.world.pod_names() {
                    moved |= self.world.owner_acts(&name);
                }
            }
            let now = self.world.server.now;
            let process = &self.processes[0];
            let sidecars = self.sidecars.as_ref();
            let again = process.again_at();
            let again = again
                .into_iter()
                .chain(sidecars.and_then(Sidecars::again_at));
            let again = again.min();
            let is_asked = process.is_asked(now) || sidecars.is_some_and(|s| s.is_asked(now));
            if !wrote && !moved && !is_asked && again.is_none() && process.unconfirmed() == 0 {
                self.check_rest();
                return;
            }
            let mut pause = SignedDuration::from_secs(1);
            if let Some(at) = again.filter(|_| !wrote && !moved && !is_asked) {
                // Nothing happens before then.
                pause = at.duration_since(self.world.server.now);
            }
            assert!(round < 399, "no rest: still moving after {round} rounds");
            self.advance(pause);
        }
    }

    fn check_rest(&mut self) {
        self.deliver_all();
        self.advance(SignedDuration::from_secs(20));
        let now = self.world.server.now;
        self.world.judge.check_rest(&self.world.server);
        let Some((plan, set, _)) = self.processes[0].plan(now) else {
            panic!("no rest: the set is not in the cache")
        };
        self.world.tell(|| format!("rest: {:?}", plan.pods));
        assert!(plan.effects.is_empty(), "no rest: {:?}", plan.effects);
        let status = set.status.clone().unwrap_or_default();
        assert_eq!(plan.status, status, "no rest: another status");
        assert_eq!(plan.wake_at, None, "no rest: somebody has to look again");
        if let Some(sidecars) = &mut self.sidecars {
            sidecars.check_rest(now);
        }
    }
}
