//! Following one message, for `lab trace`.

use super::*;

impl<C: Contender> Sim<C> {
    pub(super) fn trace_offer(&mut self, op: &Planned, client: u32) {
        let Some(trace) = &mut self.trace else { return };
        if trace.number == op.number {
            let name = self.scenario.populations[op.population as usize].name.clone();
            let publisher = Actor::Publisher(name.clone(), op.member);
            let to = Actor::Client(name, client - self.cast.clients[op.population as usize].0);
            self.sender.channel_of(op, &mut trace.channel);
            let what = format!("publish {} ({} B)", trace.channel, op.size);
            trace.step(self.now, publisher, to, what);
        }
    }

    pub(super) fn trace_outcome(
        &mut self,
        number: u32,
        client: u32,
        released: Time,
        outcome: &Outcome,
    ) {
        let Some(trace) = &mut self.trace else { return };
        if trace.number != number {
            return;
        }
        let at = client_actor(&self.scenario, &self.cast, client);
        let what = match outcome {
            Outcome::Sent => "will hear nothing more of it".to_owned(),
            Outcome::Acked(proof) => {
                let copies = if proof.copies == 1 { "copy" } else { "copies" };
                format!("acknowledged: {} {copies}, {}", proof.copies, proof.durable.name())
            }
            Outcome::Replied(_) => "answered".to_owned(),
            Outcome::Done => "done".to_owned(),
            Outcome::Failed(failure) => format!("failed: {failure}"),
            Outcome::Unknown(failure) => format!("outcome unknown: {failure}"),
            _ => "ended".to_owned(),
        };
        // What the client knows from a frame came with it; the rest it knew itself.
        if released < self.now && matches!(outcome, Outcome::Acked(_) | Outcome::Failed(_)) {
            trace.hop(released, self.now, Actor::Node, at, what);
        } else {
            trace.step(self.now, at.clone(), at, what);
        }
    }

    /// What the node has just written holds the message.
    pub(super) fn trace_append(&mut self, start: Time, finish: Time) {
        let written = self.disk.written();
        let Some(trace) = &mut self.trace else { return };
        if let Storing::Taken(before) = trace.storing
            && written > before
        {
            let what = format!("appends {} B to the page cache", written - before);
            trace.hop(start, finish, Actor::Node, Actor::Disk, what);
            trace.storing = Storing::Written;
        }
    }

    /// The first sync that is asked for after the message was written proves it.
    pub(super) fn trace_sync(&mut self, at: Time, done: Time, token: SyncToken) {
        let Some(trace) = &mut self.trace else { return };
        if trace.storing == Storing::Written {
            trace.hop(at, done, Actor::Disk, Actor::Disk, "sync".to_owned());
            trace.storing = Storing::Syncing(token);
        }
    }

    pub(super) fn trace_synced(&mut self, token: SyncToken) {
        let Some(trace) = &mut self.trace else { return };
        if trace.storing == Storing::Syncing(token) {
            let what = "synced: it survives a power loss".to_owned();
            trace.step(self.now, Actor::Disk, Actor::Node, what);
            trace.storing = Storing::Synced;
        }
    }

    /// The application at `seat` may have taken the message from its inbox.
    pub(super) fn trace_taken(&mut self, seat: u32) {
        let Some(trace) = &mut self.trace else { return };
        let sampled = &self.consumers.sampled;
        let fresh = &sampled[trace.taken.min(sampled.len())..];
        trace.taken = sampled.len();
        if fresh.iter().any(|delivery| delivery.number == trace.number) {
            let place = &self.cast.seats[seat as usize];
            let name = self.scenario.populations[place.population as usize].name.clone();
            let consumer = Actor::Consumer(name, place.member);
            trace.step(self.now, consumer.clone(), consumer, "takes it".to_owned());
        }
    }

    pub(super) fn trace_delivery(&mut self, seat: u32, delivery: &broker_contract::Delivery) {
        let Some(trace) = &mut self.trace else { return };
        let number = Identity::read(delivery.message.payload()).map(|identity| identity.number);
        if number == Some(trace.number) {
            let place = &self.cast.seats[seat as usize];
            let name = self.scenario.populations[place.population as usize].name.clone();
            // The client hands over at once; what the application does not take
            // at once waits in its inbox.
            let busy = self.consumers.is_working(seat, self.now);
            if busy {
                let consumer = Actor::Consumer(name, place.member);
                let what = "waits in the inbox".to_owned();
                trace.step(self.now, consumer.clone(), consumer, what);
            }
        }
    }
}

pub(super) fn client_actor(scenario: &Scenario, cast: &Cast, client: u32) -> Actor {
    let population = cast.client_population[client as usize] as usize;
    let name = scenario.populations[population].name.clone();
    Actor::Client(name, client - cast.clients[population].0)
}
