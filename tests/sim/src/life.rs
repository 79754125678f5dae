//! One run: what happens, in what order, and how it has to end.

use std::rc::Rc;
use std::time::Duration;

use fastrand::Rng;
use jiff::SignedDuration;
use model::server::Refused;
use planner::Effect;
use planner::effect::Request;
use tokio::runtime::Runtime;

use crate::Course;
use crate::controller::{Answer, Controller, Pass, Sent, Step};
use crate::judge::Promise;
use crate::mutation::Mutation;
use crate::sidecars::Sidecars;
use crate::thieves;
use crate::users;
use crate::world::World;

mod rest;
mod trouble;

pub(crate) use trouble::Trouble;

/// One in eight.
fn is_chosen(rng: &Rng) -> bool {
    rng.clone().u32(..8) == 0
}

pub(crate) struct Life<'a> {
    clock: &'a Runtime,
    pub(crate) world: World,
    /// More than one only while two processes believe that they hold the lease.
    processes: Vec<Controller>,
    rng: Rng,
    /// For lives in which owners get lost, and those in which cpus are scarce. Each has a seed of its
    /// own: the others stay as they are.
    owners: Option<Rng>,
    cpus: Option<Rng>,
    /// For what came later: see [`Trouble::any`].
    more: Rng,
    /// A SidecarSet on the same Pods.
    sidecars: Option<Sidecars>,
    mutation: Mutation,
    effects_max: usize,
    trouble: Trouble,
}

impl<'a> Life<'a> {
    pub(crate) fn new(seed: u64, course: Course, is_traced: bool, clock: &'a Runtime) -> Self {
        let Course { mutation, sidecars } = course;
        let mut rng = Rng::with_seed(seed);
        let mut spec = users::spec(&mut rng);
        // A seed of its own: the plain lives stay as they are.
        let mut rich = Rng::with_seed(!seed);
        let is_rich = rich.bool();
        if is_rich {
            users::enrich(&mut spec, &mut rich);
        }
        let rare = |turn| Some(Rng::with_seed(seed.rotate_left(turn))).filter(is_chosen);
        // By these turns none of the lives that failed once is chosen.
        let [owners, mut cpus] = [rare(28), rare(46)];
        if let Some(rng) = &mut cpus {
            users::ask_for_cpus(&mut spec, rng);
        }
        let is_old = rng.u32(..6) == 0;
        let mut world = World::new(&spec, is_old, is_traced);
        world.is_rich = is_rich;
        let process = Controller::new(&world.journal, mutation);
        let effects_max = if rng.u32(..5) == 0 { 2 } else { 100 };
        Self {
            clock,
            sidecars: sidecars.then(|| Sidecars::new(seed, mutation, &mut world)),
            world,
            processes: vec![process],
            rng,
            owners,
            cpus,
            more: Rng::with_seed(seed.rotate_left(32)),
            mutation,
            effects_max,
            trouble: Trouble::none(),
        }
    }

    /// From the first Pod to the last rest.
    pub(crate) fn run(&mut self) {
        if self.rng.bool() {
            self.settle();
        }
        if self.rng.u32(..6) == 0 {
            self.quietly();
        } else {
            self.trouble = Trouble::any(&mut self.rng, &mut self.more);
            let trouble = self.trouble;
            self.world.tell(|| format!("{trouble:?}"));
            let steps = self.rng.usize(40..240);
            for _ in 0..steps {
                self.step();
            }
        }
        self.end();
    }

    /// Nothing goes wrong, things only take their time: then writes are counted.
    fn quietly(&mut self) {
        self.settle();
        for _ in 0..2 {
            self.world.writes.clear();
            users::edit(&mut self.world, &mut self.rng);
            for _ in 0..60 {
                self.step();
            }
            self.settle();
            let most = self.writes_max();
            for (uid, writes) in &self.world.writes {
                assert!(*writes <= most, "{writes} writes for one update of {uid}");
            }
        }
    }

    /// One thing happens.
    #[allow(
        clippy::match_same_arms,
        reason = "what a run has no trouble of is an event more"
    )]
    fn step(&mut self) {
        let t = self.trouble;
        if let Some(sidecars) = &mut self.sidecars {
            sidecars.step(&mut self.world, t);
        }
        match self.rng.u32(..100) {
            0..25 => self.deliver_one(),
            25..60 => {
                let index = self.rng.usize(..self.processes.len());
                self.act(index);
            }
            60..80 => {
                let names = self.world.pod_names();
                if !names.is_empty() {
                    let name = &names[self.rng.usize(..names.len())];
                    self.world.sync(name, &mut self.rng);
                }
            }
            80..88 => {
                let time = users::a_moment(&mut self.rng);
                self.advance(time);
                if t.others {
                    self.rarely();
                }
                self.take_away();
                if self.world.is_rich {
                    self.others_of_rich();
                }
            }
            88..91 if t.edits => users::edit(&mut self.world, &mut self.rng),
            91..94 if t.others => users::disturb(&mut self.world, &mut self.rng),
            94..96 if t.watches => self.disturb_watch(),
            96..97 if t.crashes => self.crash(),
            97..98 if t.rivals => self.rival(),
            98..100 if t.nodes => users::node(&mut self.world, &mut self.rng),
            _ => self.deliver_one(),
        }
    }

    /// What happens in few lives, there often.
    fn rarely(&mut self) {
        if let Some(rng) = &mut self.owners
            && rng.u32(..4) == 0
        {
            thieves::disown(&mut self.world, rng);
        }
        if let Some(rng) = &mut self.cpus
            && rng.u32(..3) == 0
        {
            users::move_cpus(&mut self.world, rng);
        }
    }

    /// Somebody deletes what Pods stand on.
    fn take_away(&mut self) {
        if self.trouble.claims && self.world.is_rich && self.more.u32(..4) == 0 {
            let passes = self.processes.iter().filter_map(|p| p.pass.as_ref());
            let steps = passes.flat_map(|pass| &pass.steps).map(Step::effect);
            let due = steps.filter(|effect| matches!(effect, Effect::CreateClaim { .. }));
            let due: Vec<String> = due.map(|effect| effect.name().to_owned()).collect();
            thieves::disturb_claims(&mut self.world, &due, &mut self.more);
        }
        if self.trouble.records && self.more.u32(..8) == 0 {
            thieves::disturb_records(&mut self.world, &mut self.more);
        }
    }

    /// The garbage collector and the owner of the hooks, each in its time.
    fn others_of_rich(&mut self) {
        if self.rng.bool() {
            self.world.collect_garbage();
        }
        let names = self.world.pod_names();
        if !names.is_empty() && self.rng.bool() {
            let name = &names[self.rng.usize(..names.len())];
            self.world.owner_acts(name);
        }
    }

    fn advance(&mut self, time: SignedDuration) {
        self.world.advance(time);
        let time = Duration::try_from(time).unwrap_or_default();
        self.clock.block_on(tokio::time::advance(time));
        for process in &self.processes {
            process.settle_overdue(&self.world.server);
        }
        if let Some(sidecars) = &self.sidecars {
            sidecars.settle_overdue(&self.world.server);
        }
    }

    fn deliver_one(&mut self) {
        let process = self.rng.usize(..self.processes.len());
        let process = &mut self.processes[process];
        let stream = self.rng.usize(..process.streams.len());
        if process.streams[stream].is_listing {
            process.end_list(stream);
        } else if let Some(at) = process.streams[stream].pop(&self.world.journal, &mut self.rng) {
            let entry = &self.world.journal[at];
            process.tell(entry);
            let (kind, name, deleted) = (entry.kind, entry.name.clone(), entry.deleted);
            let version = entry.object["metadata"]["resourceVersion"].clone();
            self.world
                .tell(|| format!("watch {kind:?} {name}@{version} deleted={deleted}"));
        }
    }

    /// Every watch tells everything.
    fn deliver_all(&mut self) {
        if let Some(sidecars) = &mut self.sidecars {
            sidecars.deliver_all(&self.world);
        }
        for process in &mut self.processes {
            for index in 0..process.streams.len() {
                if process.streams[index].is_listing {
                    process.end_list(index);
                }
                while let Some(at) = process.streams[index].pop(&self.world.journal, &mut self.rng)
                {
                    process.tell(&self.world.journal[at]);
                }
            }
        }
    }

    fn disturb_watch(&mut self) {
        let index = self.rng.usize(..self.processes.len());
        let process = &mut self.processes[index];
        let stream = self.rng.usize(..process.streams.len());
        let kind = process.streams[stream].kind;
        if self.rng.bool() {
            if let Some(at) = process.streams[stream].again() {
                process.tell(&self.world.journal[at]);
                self.world.tell(|| format!("watch {kind:?} repeats itself"));
            }
            return;
        }
        let (told, all) = (process.streams[stream].told(), self.world.journal.len());
        let length = self.rng.usize(told..=all);
        process.list(stream, &self.world.journal, length);
        self.world.tell(|| {
            format!(
                "watch {kind:?} breaks, the list is {} changes old",
                all - length
            )
        });
    }

    fn crash(&mut self) {
        let index = self.rng.usize(..self.processes.len());
        self.abandon(index);
        self.processes[index] = Controller::new(&self.world.journal, self.mutation);
        self.world.tell(|| "CRASH, and a new process".into());
    }

    /// The process ends: what it was about to write reaches the server, or does not.
    fn abandon(&mut self, index: usize) {
        let process = &mut self.processes[index];
        let flights = std::mem::take(&mut process.flights).into_iter();
        let mut left: Vec<(Step, Rc<Promise>)> = flights.map(|f| (f.step, f.promise)).collect();
        if let Some(pass) = process.pass.take() {
            let promise = &pass.promise;
            left.extend(pass.steps.into_iter().map(|s| (s, Rc::clone(promise))));
        }
        for (step, promise) in left {
            if let Step::Due(effect) = step
                && self.rng.bool()
            {
                self.send(index, effect, &promise);
            }
        }
    }

    /// A second process believes that it holds the lease, or one of two learns that it does not.
    fn rival(&mut self) {
        if self.processes.len() > 1 {
            self.one_process();
            return;
        }
        self.world.judge.is_blurred = true;
        let rival = Controller::new(&self.world.journal, self.mutation);
        self.processes.push(rival);
        self.world.tell(|| "RIVAL".into());
    }

    /// Whoever is left has seen what the other one did.
    fn one_process(&mut self) {
        if self.processes.len() < 2 {
            return;
        }
        let loser = self.rng.usize(..2);
        self.abandon(loser);
        self.processes.remove(loser);
        self.processes[0].pass = None;
        while self.fly(0) {}
        self.deliver_all();
        self.world.judge.clear(&self.world.server);
        self.world.tell(|| format!("process {loser} gives up"));
    }

    /// One step of one process: plan, send, receive or report. Returns whether there was one.
    fn act(&mut self, index: usize) -> bool {
        let now = self.world.server.now;
        let process = &mut self.processes[index];
        let is_idle = process.pass.is_none() && !process.is_asked(now);
        if (is_idle || self.rng.bool()) && self.fly(index) {
            return true;
        }
        if is_idle {
            return false;
        }
        let process = &mut self.processes[index];
        let Some(mut pass) = process.pass.take() else {
            let (judge, server) = (&self.world.judge, &self.world.server);
            process.begin_pass(now, &mut self.rng, self.effects_max, |s, plan| {
                judge.promise(s, plan, server)
            });
            return true;
        };
        if pass.steps.is_empty() {
            self.report(index, &pass);
            return true;
        }
        let chosen = self.rng.usize(..pass.steps.len());
        match pass.steps.swap_remove(chosen) {
            Step::Due(effect) => {
                let sent = self.send(index, effect, &pass.promise);
                pass.steps.push(Step::Sent(sent));
            }
            Step::Sent(sent) => self.processes[index].receive(sent, now),
        }
        self.processes[index].pass = Some(pass);
        true
    }

    /// A write that outlives its pass is sent, or answered. Returns whether there was one.
    fn fly(&mut self, index: usize) -> bool {
        let flights = &mut self.processes[index].flights;
        if flights.is_empty() {
            return false;
        }
        let chosen = self.rng.usize(..flights.len());
        // It is under way until its answer is in the cache.
        match &flights[chosen].step {
            Step::Due(effect) => {
                let (effect, promise) = (effect.clone(), Rc::clone(&flights[chosen].promise));
                let sent = self.send(index, effect, &promise);
                let flights = &mut self.processes[index].flights;
                flights[chosen].step = Step::Sent(sent);
            }
            Step::Sent(_) => {
                let flight = flights.swap_remove(chosen);
                if let Step::Sent(sent) = flight.step {
                    self.processes[index].land(sent, self.world.server.now);
                }
            }
        }
        true
    }

    fn send(&mut self, index: usize, effect: Effect, promise: &Promise) -> Sent {
        let request = self.processes[index].request(&effect);
        let answer = self.answer(index, &effect, &request, promise);
        Sent {
            effect,
            request,
            answer,
        }
    }

    fn answer(
        &mut self,
        index: usize,
        effect: &Effect,
        request: &Request,
        promise: &Promise,
    ) -> Answer {
        let fault = if self.trouble.calls {
            self.rng.u32(..30)
        } else {
            99
        };
        match fault {
            0 => return Answer::Refused(Some(Duration::from_secs(2))),
            1 => return Answer::Refused(None),
            _ => {}
        }
        let now = self.world.server.now;
        let sidecars = self.sidecars.as_mut();
        let admitted = sidecars.and_then(|sidecars| sidecars.admit(request, now));
        let request = admitted.as_ref().unwrap_or(request);
        let (before, answer) = self.world.perform(request);
        let said = answer.as_ref().map(|_| ()).map_err(|r| *r);
        self.world.tell(|| {
            let short: String = format!("{effect:?}").chars().take(70).collect();
            format!("{index}: {short} -> {said:?}")
        });
        if answer.is_ok() {
            let world = &mut self.world;
            let before = before.as_deref();
            let judge = &mut world.judge;
            judge.check((effect, request), promise, before, &world.server);
        }
        if fault == 2 {
            self.world.tell(|| "the answer is lost".into());
            return match self.mutation {
                Mutation::Unread => Answer::Refused(None),
                _ => Answer::Unknown(self.world.read(request)),
            };
        }
        match answer {
            Ok(Some(object)) => Answer::Object(object),
            Ok(None) => Answer::Gone,
            Err(Refused::Forbidden) => Answer::Refused(None),
            Err(refused) => {
                assert!(!refused.is_fault(), "{refused:?}: {effect:?}");
                Answer::Stale
            }
        }
    }

    fn report(&mut self, index: usize, pass: &Pass) {
        let process = &mut self.processes[index];
        let Some((status, patch)) = process.report(pass, self.world.server.now) else {
            return;
        };
        let Some(set) = self.world.patch_status(&patch) else {
            self.processes[index].stale(self.world.server.now);
            self.world.tell(|| format!("{index}: status refused"));
            return;
        };
        self.processes[index].status_written(self.world.server.now);
        let is_lost = self.trouble.calls && self.rng.u32(..20) == 0;
        let current = status.current_revision;
        let judge = &mut self.world.judge;
        if pass.promise.is_complete || judge.current.is_none() {
            judge.current.clone_from(&current);
        }
        if !is_lost && !self.mutation.forgets_own_writes() {
            self.processes[index].learn_set(&set);
        }
        self.world
            .tell(|| format!("{index}: status, current is {current:?}"));
    }
}
