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

    pub(super) fn trace_outcome(&mut self, number: u32, client: u32, outcome: &Outcome) {
        let Some(trace) = &mut self.trace else { return };
        if trace.number != number {
            return;
        }
        let at = client_actor(&self.scenario, &self.cast, client);
        let what = match outcome {
            Outcome::Sent => "sent; nothing more will be heard".to_owned(),
            Outcome::Acked(proof) => {
                format!("acknowledged: {} copy, {}", proof.copies, proof.durable.name())
            }
            Outcome::Replied(_) => "answered".to_owned(),
            Outcome::Done => "done".to_owned(),
            Outcome::Failed(failure) => format!("failed: {failure}"),
            Outcome::Unknown(failure) => format!("outcome unknown: {failure}"),
            _ => "ended".to_owned(),
        };
        trace.step(self.now, at.clone(), at, what);
    }

    pub(super) fn trace_delivery(&mut self, seat: u32, delivery: &broker_contract::Delivery) {
        let Some(trace) = &mut self.trace else { return };
        let number = Identity::read(delivery.message.payload()).map(|identity| identity.number);
        if number == Some(trace.number) {
            let place = &self.cast.seats[seat as usize];
            let name = self.scenario.populations[place.population as usize].name.clone();
            let from = client_actor(&self.scenario, &self.cast, place.client);
            let to = Actor::Consumer(name, place.member);
            trace.step(self.now, from, to, "delivered".to_owned());
        }
    }
}

pub(super) fn client_actor(scenario: &Scenario, cast: &Cast, client: u32) -> Actor {
    let population = cast.client_population[client as usize] as usize;
    let name = scenario.populations[population].name.clone();
    Actor::Client(name, client - cast.clients[population].0)
}
