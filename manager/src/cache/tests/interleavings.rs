//! A world whose history the watch tells late and in order, with relists, while the answers to our
//! own writes arrive whenever they like.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::watcher::Event;

use super::{Cache, Told, cache, list, object};
use crate::cache::CONFIRM_WITHIN;

struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % sides
    }
}

struct World {
    dice: Dice,
    cache: Arc<Cache<ConfigMap>>,
    told: Told,
    /// The resourceVersion of an entry is its index plus one.
    history: Vec<Event<ConfigMap>>,
    /// How much of the history the watch has told.
    watched: usize,
    alive: BTreeMap<usize, ConfigMap>,
    lives: usize,
    /// Answers to our own writes that have not arrived.
    answers: Vec<ConfigMap>,
}

impl World {
    fn new(seed: u64) -> Self {
        let (cache, told) = cache();
        list(&cache, &[]);
        Self {
            dice: Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15)),
            cache,
            told,
            history: Vec::new(),
            watched: 0,
            alive: BTreeMap::new(),
            lives: 0,
            answers: Vec::new(),
        }
    }

    fn step(&mut self) {
        match self.dice.roll(40) {
            0..20 => self.somebody_writes(),
            20..32 => self.watch(),
            32..37 => self.an_answer_arrives(),
            37 => self.relist(),
            _ => {}
        }
    }

    fn somebody_writes(&mut self) {
        let (name, owner) = (self.dice.roll(4), ["", "x", "y"][self.dice.roll(3)]);
        let rv = u64::try_from(self.history.len()).unwrap() + 1;
        let before = self
            .alive
            .remove(&name)
            .and_then(|object| object.metadata.uid);
        let is_deleted = before.is_some() && self.dice.roll(3) == 0;
        let uid = before.unwrap_or_else(|| {
            self.lives += 1;
            format!("u{}", self.lives)
        });
        let object = object(&format!("n{name}"), &uid, rv, owner);
        if is_deleted {
            return self.history.push(Event::Delete(object));
        }
        self.alive.insert(name, object.clone());
        if self.dice.roll(2) == 0 {
            self.answers.push(object.clone());
        }
        self.history.push(Event::Apply(object));
    }

    fn watch(&mut self) {
        let until = self.history.len().min(self.watched + self.dice.roll(4));
        for event in &self.history[self.watched..until] {
            self.cache.event(event.clone());
        }
        self.watched = until;
    }

    fn an_answer_arrives(&mut self) {
        if !self.answers.is_empty() {
            let at = self.dice.roll(self.answers.len());
            self.cache.observe_write(self.answers.swap_remove(at));
        }
    }

    /// The list is taken at once; answers, also to later writes, arrive while it is read.
    fn relist(&mut self) {
        self.watched = self.history.len();
        let listed: Vec<_> = self.alive.values().cloned().collect();
        self.cache.event(Event::Init);
        for object in listed {
            match self.dice.roll(4) {
                0 => self.somebody_writes(),
                1 => self.an_answer_arrives(),
                _ => {}
            }
            self.cache.event(Event::InitApply(object));
        }
        if self.dice.roll(2) == 0 {
            self.live_reads();
        }
        self.cache.event(Event::InitDone);
    }

    fn live_reads(&self) {
        for overdue in self.cache.overdue(std::time::Duration::ZERO) {
            let mut alive = self.alive.values();
            let found = alive.find(|o| o.metadata.name.as_deref() == Some(&overdue.key.name));
            self.cache.resolve_live(&overdue.uid, found.cloned());
        }
    }

    async fn settle(&mut self) {
        while !self.answers.is_empty() {
            self.an_answer_arrives();
        }
        while self.watched < self.history.len() {
            self.watch();
        }
        tokio::time::advance(CONFIRM_WITHIN).await;
        self.live_reads();
    }

    fn cached(&self) -> BTreeMap<Option<String>, Option<String>> {
        let get = |key: &super::super::Key| self.cache.get(&key.namespace, &key.name);
        self.cache
            .keys()
            .iter()
            .filter_map(get)
            .map(|object| identity(&object))
            .collect()
    }

    /// Every object is told with growing versions, deleted at most once, and never after that.
    fn tells_a_clean_story(&self, seed: u64) {
        let told = self.told.lock();
        let mut lives: BTreeMap<&str, (u64, bool)> = BTreeMap::new();
        for line in told.iter() {
            let (uid, rest) = line[1..].split_once('@').unwrap();
            let rv: u64 = rest.split(' ').next().unwrap().parse().unwrap();
            let is_deleted = line.starts_with('-');
            if let Some((before, was_deleted)) = lives.insert(uid, (rv, is_deleted)) {
                assert!(!was_deleted, "seed {seed}: {uid} came back: {told:?}");
                assert!(
                    if is_deleted {
                        before == rv
                    } else {
                        before < rv
                    },
                    "seed {seed}: {told:?}"
                );
            } else {
                assert!(!is_deleted, "seed {seed}: {uid} was never there: {told:?}");
            }
        }
    }
}

fn identity(object: &ConfigMap) -> (Option<String>, Option<String>) {
    (
        object.metadata.uid.clone(),
        object.metadata.resource_version.clone(),
    )
}

#[tokio::test(start_paused = true)]
async fn whatever_the_interleaving_the_cache_ends_as_the_world_and_tells_a_clean_story() {
    for seed in 1..1000_u64 {
        let mut world = World::new(seed);
        for _ in 0..300 {
            world.step();
        }
        world.tells_a_clean_story(seed);
        world.settle().await;
        let expected: BTreeMap<_, _> = world.alive.values().map(identity).collect();
        assert_eq!(world.cached(), expected, "seed {seed}");
        let cache = &world.cache;
        let indexed = cache.owned("x").len() + cache.owned("y").len() + cache.orphans("ns").len();
        assert_eq!(
            (indexed, cache.unconfirmed()),
            (cache.len(), 0),
            "seed {seed}"
        );
        world.tells_a_clean_story(seed);
    }
}
