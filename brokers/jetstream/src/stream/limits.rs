//! What is removed: by limits, by age, by a purge, and because nobody needs it.

use broker_contract::{Cause, Identity, Note, Time};

use super::Stream;
use super::config::{Discard, Retention, StreamConfig};
use crate::agenda::Cx;
use crate::store::{Appended, Matcher, Step};

/// Messages removed in one piece of work; the rest follows.
const BATCH: u32 = 4_096;

impl Stream {
    /// Removes what a message just stored pushes out.
    #[inline]
    pub(super) fn keep_within_limits(&mut self, cx: &mut Cx<'_>, appended: &Appended) {
        if let Some(most) = StreamConfig::limit(self.config.max_msgs_per_subject)
            && self.store.subject(appended.subject).count > most
            && let Some(first) = self.store.first_of_subject(appended.subject)
        {
            self.remove_by_limit(cx, first, true);
        }
        if self.config.discard == Discard::Old && self.is_beyond_limits() {
            self.enforce_limits(cx);
        }
    }

    fn is_beyond_limits(&self) -> bool {
        let state = self.store.state();
        StreamConfig::limit(self.config.max_msgs).is_some_and(|most| state.messages > most)
            || StreamConfig::limit(self.config.max_bytes).is_some_and(|most| state.bytes > most)
    }

    /// Removes from the front until the limits are met, some of it later if it is
    /// much. Where new messages give way, the old ones stay even beyond a limit that
    /// came down.
    pub(super) fn enforce_limits(&mut self, cx: &mut Cx<'_>) {
        let mut budget = BATCH;
        self.is_over_limit = false;
        if self.config.discard == Discard::New {
            return;
        }
        while self.is_beyond_limits() {
            if budget == 0 {
                return self.go_on_later(cx);
            }
            budget -= 1;
            self.remove_by_limit(cx, self.store.state().first, false);
        }
    }

    fn go_on_later(&mut self, cx: &mut Cx<'_>) {
        self.is_over_limit = true;
        self.arm(cx, cx.now);
    }

    /// Enforces what holds per subject, at boot and after a change.
    pub(super) fn enforce_per_subject(&mut self, cx: &mut Cx<'_>) {
        let Some(most) = StreamConfig::limit(self.config.max_msgs_per_subject) else { return };
        let over: Vec<u32> = self
            .store
            .subjects()
            .filter(|(_, subject)| subject.count > most)
            .map(|(id, _)| id)
            .collect();
        for id in over {
            while self.store.subject(id).count > most {
                let Some(seq) = self.store.first_of_subject(id) else { break };
                self.remove_by_limit(cx, seq, true);
            }
        }
    }

    /// Removes messages that are too old.
    pub(super) fn expire(&mut self, cx: &mut Cx<'_>) {
        let Some(age) = StreamConfig::limit(self.config.max_age) else { return };
        for _ in 0..BATCH {
            let first = self.store.state().first;
            match self.store.first_time(cx.host.disk()) {
                Ok(None) => return,
                Ok(Some(time)) if time.saturating_add(age) > cx.unix => return self.arm_age(cx),
                // A message that cannot be read has no age, and is useless.
                Ok(Some(_)) | Err(_) => self.remove_by_limit(cx, first, false),
            }
        }
        let at = cx.now.max(Time::from_nanos(1));
        self.age_at = Some(at);
        self.arm(cx, at);
    }

    /// Removes a message because of a limit, and says for whom it is a loss.
    fn remove_by_limit(&mut self, cx: &mut Cx<'_>, seq: u64, record: bool) {
        self.note_unseen(cx, seq);
        self.remove(cx, seq, record);
    }

    /// Names those who wanted the message and have not had it.
    fn note_unseen(&mut self, cx: &mut Cx<'_>, seq: u64) {
        let Some(id) = self.store.subject_of(seq) else { return };
        let text = &self.store.subject(id).text;
        let mut wanting = 0;
        let mut unseen = Vec::new();
        for consumer in self.takers_of(text) {
            if consumer.takes(text) {
                wanting += 1;
                if consumer.needs(seq) {
                    unseen.push(consumer.conn());
                }
            }
        }
        if unseen.is_empty() && wanting > 0 {
            return;
        }
        let Ok(Some(record)) = self.store.get(cx.host.disk(), seq) else { return };
        let Some(message) = Identity::read(record.payload) else { return };
        let cause = Cause::Retention;
        if unseen.len() == wanting {
            let message = Some(Box::new(message));
            return cx.host.note(Note::Dropped { cause, conn: None, message });
        }
        for conn in unseen {
            let message = Some(Box::new(message));
            cx.host.note(Note::Dropped { cause, conn, message });
        }
    }

    /// Removes a message and tells the consumers. Returns whether it was there.
    pub(super) fn remove(&mut self, cx: &mut Cx<'_>, seq: u64, record: bool) -> bool {
        let Some(subject) = self.store.subject_of(seq) else { return false };
        if !self.by_name.is_empty() {
            let text = self.store.subject(subject).text.clone();
            let mut places = Vec::new();
            self.interest.find_waiting(&text, &mut places);
            for place in places {
                if let Some(consumer) = &mut self.consumers[place as usize]
                    && consumer.removed(seq, &text)
                {
                    self.journal_settled(cx, place, seq);
                    // Room for another delivery.
                    cx.agenda.push_ready(cx.stream, place);
                }
            }
        }
        self.store.remove(cx.host.disk(), seq, record)
    }

    /// Removes a message because somebody asked for it. Returns whether it was there.
    pub fn delete_message(&mut self, cx: &mut Cx<'_>, seq: u64) -> bool {
        let removed = self.remove(cx, seq, true);
        self.see_to_syncs(cx);
        removed
    }

    /// Begins to remove what `matcher` takes in, up to `last`; returns how many
    /// messages that will be. `keep` leaves the last few.
    pub fn begin_purge(
        &mut self,
        cx: &mut Cx<'_>,
        matcher: Matcher,
        seq: Option<u64>,
        keep: Option<u64>,
    ) -> u64 {
        self.finish_purge(cx);
        let state = *self.store.state();
        let last = match (seq, keep) {
            (Some(seq), _) if seq > 0 => (seq - 1).min(state.last),
            (_, Some(keep)) if keep > 0 => self.nth_from_end(&matcher, keep),
            _ => state.last,
        };
        let count =
            self.store.count(&matcher, 0) - self.store.count(&matcher, last.saturating_add(1));
        if count > 0 {
            self.purge = Some((matcher, state.first, last));
            self.go_on_purging(cx);
        }
        self.see_to_syncs(cx);
        count
    }

    /// The sequence in front of the last `keep` matching messages.
    fn nth_from_end(&self, matcher: &Matcher, keep: u64) -> u64 {
        let Some(mut skip) = self.store.count(matcher, 0).checked_sub(keep) else { return 0 };
        let mut last = 0;
        let mut at = self.store.state().first;
        let wanted = |id: u32| matcher.takes(&self.store.subject(id).text);
        while skip > 0 {
            let Step::Found(seq) = self.store.search(at, u64::MAX, wanted) else { break };
            (last, at) = (seq, seq + 1);
            skip -= 1;
        }
        last
    }

    /// A purge that is under way ends before another begins, or before anything is
    /// looked at that it has claimed already.
    pub(super) fn finish_purge(&mut self, cx: &mut Cx<'_>) {
        while self.purge.is_some() {
            self.go_on_purging(cx);
        }
    }

    pub(super) fn go_on_purging(&mut self, cx: &mut Cx<'_>) {
        let Some((matcher, mut at, last)) = self.purge.take() else { return };
        let is_front = matcher == Matcher::All;
        for _ in 0..BATCH {
            let wanted = |id: u32| matcher.takes(&self.store.subject(id).text);
            let found = match self.store.search(at, u64::MAX, wanted) {
                Step::Found(seq) if seq <= last => seq,
                _ => {
                    if is_front {
                        self.store.note_first(cx.host.disk());
                    }
                    return;
                }
            };
            self.remove(cx, found, !is_front);
            at = found + 1;
        }
        if is_front {
            self.store.note_first(cx.host.disk());
        }
        self.purge = Some((matcher, at, last));
        self.arm(cx, cx.now);
    }

    /// Removes the older messages on a subject.
    pub(super) fn roll_up(&mut self, cx: &mut Cx<'_>, subject: &[u8], seq: u64) {
        while let Some(id) = self.store.find_subject(subject) {
            match self.store.first_of_subject(id) {
                Some(first) if first < seq => self.remove(cx, first, true),
                _ => return,
            };
        }
    }

    /// Removes all older messages.
    pub(super) fn roll_up_all(&mut self, cx: &mut Cx<'_>, seq: u64) {
        while self.store.state().first < seq {
            if !self.remove(cx, self.store.state().first, false) {
                break;
            }
        }
        self.store.note_first(cx.host.disk());
    }

    /// Removes what consumers settled and nobody else needs.
    pub(super) fn retire_settled(&mut self, cx: &mut Cx<'_>) {
        if self.settled.is_empty() {
            return;
        }
        let settled = std::mem::take(&mut self.settled);
        for seq in &settled {
            self.retire(cx, *seq);
        }
        if self.settled.is_empty() {
            self.settled = settled;
            self.settled.clear();
        }
    }

    fn retire(&mut self, cx: &mut Cx<'_>, seq: u64) {
        match self.config.retention {
            Retention::Limits => return,
            Retention::WorkQueue => {}
            Retention::Interest => {
                let Some(id) = self.store.subject_of(seq) else { return };
                let text = &self.store.subject(id).text;
                let is_needed = self
                    .consumers
                    .iter()
                    .flatten()
                    .any(|consumer| consumer.takes(text) && consumer.needs(seq));
                if is_needed {
                    return;
                }
            }
        }
        self.remove(cx, seq, true);
    }

    /// Looks at every message for whether it is still needed: after a boot, and when
    /// a consumer went.
    pub(super) fn sweep_settled(&mut self, cx: &mut Cx<'_>) {
        if self.config.retention == Retention::Limits {
            return;
        }
        let mut at = self.store.state().first;
        while let Some(seq) = self.store.next_live(at) {
            at = seq + 1;
            let Some(id) = self.store.subject_of(seq) else { continue };
            let text = &self.store.subject(id).text;
            let mut takers = 0;
            let (mut is_needed, mut is_passed_over) = (false, false);
            for consumer in self.consumers.iter().flatten() {
                if consumer.takes(text) {
                    takers += 1;
                    is_needed |= consumer.needs(seq) || consumer.gave_up(seq);
                    is_passed_over |= consumer.passed_over(seq);
                }
            }
            let goes = match self.config.retention {
                // Without a consumer for it, it waits for one.
                Retention::WorkQueue => takers > 0 && !is_needed && !is_passed_over,
                _ => !is_needed,
            };
            if goes {
                self.remove(cx, seq, true);
            }
        }
    }
}
