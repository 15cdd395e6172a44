//! Whether a stream, its consumers, its timers and its files agree.

use std::collections::BTreeMap;

use broker_contract::Disk;

use super::config::{Retention, StreamConfig};
use super::{Stream, folder};
use crate::agenda::{Agenda, STREAM};
use crate::consumer::Consumer;
use crate::journal;

impl Stream {
    /// Compares everything it has with everything else, between two inputs.
    /// `place` is its own.
    ///
    /// # Errors
    /// What does not agree.
    pub fn check(&self, disk: &mut dyn Disk, agenda: &Agenda, place: u32) -> Result<(), String> {
        self.store.check(disk)?;
        if self.timer.is_some_and(|at| !agenda.has(at, place, STREAM)) {
            return Err("its timer is not set".to_owned());
        }
        let ages = StreamConfig::limit(self.config.max_age).is_some();
        if ages && self.store.state().messages > 0 && self.age_at.is_none() {
            return Err("nothing lets its messages age".to_owned());
        }
        if self.store.has_unsynced() && self.sync_at.is_none() && !self.commit.is_running() {
            return Err("nothing will sync what was written".to_owned());
        }
        if !self.settled.is_empty() {
            return Err(format!("{} settled messages were left", self.settled.len()));
        }
        for (name, consumer) in &self.by_name {
            let known = self.consumers.get(*consumer as usize).and_then(Option::as_deref);
            let Some(consumer) = known else { return Err(format!("consumer {name} is missing")) };
            consumer
                .check(&self.store, agenda, place)
                .map_err(|what| format!("consumer {name}: {what}"))?;
        }
        if self.by_name.len() != self.consumers.iter().flatten().count() {
            return Err("a consumer has no name".to_owned());
        }
        for (_, subject) in self.store.subjects() {
            let takers = self.consumers.iter().flatten().filter(|one| one.takes(&subject.text));
            let found = self.takers_of(&subject.text).filter(|one| one.takes(&subject.text));
            if !takers.map(|one| one.id()).eq(found.map(|one| one.id())) {
                let text = String::from_utf8_lossy(&subject.text);
                return Err(format!("not everybody is found who takes in {text}"));
            }
        }
        self.check_retention()?;
        self.check_journal(disk)
    }

    /// Nothing stays that everybody has settled.
    fn check_retention(&self) -> Result<(), String> {
        if self.config.retention == Retention::Limits || self.purge.is_some() {
            return Ok(());
        }
        let mut at = self.store.state().first;
        while let Some(seq) = self.store.next_live(at) {
            at = seq + 1;
            let Some(id) = self.store.subject_of(seq) else { continue };
            let text = &self.store.subject(id).text;
            let mut takers = self.consumers.iter().flatten().filter(|one| one.takes(text));
            let is_free = self.config.retention == Retention::WorkQueue
                && (takers.clone().count() == 0 || takers.clone().any(|one| one.passed_over(seq)));
            if !is_free && !takers.any(|one| one.needs(seq) || one.gave_up(seq)) {
                return Err(format!("nobody needs {seq}, and it is there"));
            }
        }
        Ok(())
    }

    fn check_journal(&self, disk: &mut dyn Disk) -> Result<(), String> {
        let Some(journal) = self.journal.as_ref().filter(|journal| !journal.is_behind()) else {
            return Ok(());
        };
        let dir = folder(&self.config.name);
        let replay = journal::replay(disk, &dir).map_err(|error| error.to_string())?;
        let replay = replay.ok_or("the journal is empty")?;
        if replay.cut > 0 || !replay.damage.is_empty() || replay.journal.len() != journal.len() {
            return Err("the journal is not what was written".to_owned());
        }
        let (mut restored, _) = Self::read_consumers(&replay.events);
        let kept = self.consumers.iter().flatten().filter(|consumer| consumer.is_kept());
        let keeps_settled = self.config.retention == Retention::Limits;
        for consumer in kept {
            let name = consumer.name();
            let other: Consumer =
                restored.remove(&consumer.id()).ok_or(format!("{name} is not in the journal"))?;
            consumer
                .check_journal(&other, keeps_settled)
                .map_err(|what| format!("consumer {name}: {what}"))?;
        }
        let left: BTreeMap<u32, Consumer> = restored;
        if let Some(other) = left.values().next() {
            return Err(format!("the journal has a consumer {}", other.name()));
        }
        Ok(())
    }
}
