//! What goes wrong on purpose, in virtual time.

use std::time::Duration;

use broker_contract::{Cause, ClientInput, Contender, CrashKind, Time};
use lab_workloads::scenario::model::FaultKind;

use super::engine::{Event, Sim};
use crate::trial::NodeCrash;

impl<C: Contender> Sim<C> {
    /// A fault begins or ends.
    pub(super) fn fault(&mut self, index: usize, begins: bool) {
        let scenario = self.scenario.clone();
        if let FaultKind::SubscriberRestart { population, .. } = scenario.faults[index].kind
            && (!self.is_supported(population)
                || scenario.faults[index].at_ns < self.joins_ns(population))
        {
            // There is nobody yet who could stop.
            return;
        }
        match &scenario.faults[index].kind {
            FaultKind::SubscriberRestart { population, first, members, graceful } => {
                let clients = self.clients_of(*population, *first, *members);
                for client in clients {
                    if !begins {
                        self.restart(client);
                    } else if *graceful {
                        self.say_goodbye(client);
                    } else {
                        self.kill(client);
                    }
                }
                self.faults[index] = true;
            }
            FaultKind::SlowSubscriber { population, first, members, factor, at_least } => {
                let (factor, at_least) =
                    if begins { (*factor, *at_least) } else { (1.0, Duration::ZERO) };
                let base = self.cast.first_seat[*population];
                for seat in base + first..base + first + members {
                    self.consumers.pace(seat, factor, at_least);
                }
                self.faults[index] = true;
            }
            FaultKind::BrokerCrash { how } => {
                if begins {
                    self.crash(*how);
                } else {
                    self.boot();
                    self.declare_again();
                }
                self.faults[index] = true;
            }
            FaultKind::DiskStall => {
                let until = self.zero.plus_nanos(scenario.faults[index].until_ns);
                self.stalled_until = if begins { until } else { Time::ZERO };
                self.faults[index] = true;
            }
            FaultKind::DiskFull => {
                self.disk.set_full(begins);
                self.faults[index] = true;
            }
        }
    }

    /// The clients of some members, each once.
    fn clients_of(&self, population: usize, first: u32, members: u32) -> Vec<u32> {
        let mut clients: Vec<u32> = (first..first + members)
            .map(|member| self.cast.client_of(population, member))
            .collect();
        clients.sort_unstable();
        clients.dedup();
        clients
    }

    /// The process of a client is killed: its sockets close, and what it held is gone.
    fn kill(&mut self, client: u32) {
        self.seats_stop(client);
        // The node may learn of it only when somebody else sits there already.
        for index in 0..self.cast.seats_of_client[client as usize].len() {
            self.left(self.cast.seats_of_client[client as usize][index], self.now);
        }
        let conns: Vec<u32> = self.slots[client as usize].links.conns().collect();
        for conn in conns {
            self.hang_up(conn);
        }
        let slot = &mut self.slots[client as usize];
        slot.client = None;
    }

    /// A client stops in an orderly way; it is gone when it has closed its connections.
    fn say_goodbye(&mut self, client: u32) {
        for index in 0..self.cast.seats_of_client[client as usize].len() {
            let seat = self.cast.seats_of_client[client as usize][index];
            self.left(seat, self.now);
        }
        self.slots[client as usize].leaving = true;
        self.input(client, self.now, ClientInput::Shutdown);
    }

    fn seats_stop(&mut self, client: u32) {
        for seat in self.cast.seats_of_client[client as usize].clone() {
            self.consumers.stopped(seat);
        }
    }

    /// A member starts anew in a slot.
    fn restart(&mut self, client: u32) {
        self.make_room(client);
        self.start_client(client);
    }

    /// Clears the slot of a client for another.
    pub(super) fn make_room(&mut self, client: u32) {
        if self.slots[client as usize].client.is_some() {
            // It has not finished saying goodbye, and is cut off here.
            self.kill(client);
        }
        self.slots[client as usize].incarnation += 1;
        self.slots[client as usize].leaving = false;
        self.slots[client as usize].links.clear();
    }

    /// The node's process ends. What it held in memory is gone; what the
    /// transport had taken still arrives; its disk keeps what `how` leaves.
    fn crash(&mut self, how: CrashKind) {
        self.inspect("before a crash");
        self.node = None;
        self.effects.clear();
        for conn in 0..self.conns.len() as u32 {
            if !self.conns[conn as usize].node_open {
                continue;
            }
            self.conns[conn as usize].node_open = false;
            let blocked = self.conns[conn as usize]
                .queues
                .as_mut()
                .map(|queues| std::mem::take(&mut queues.blocked));
            for (_, frame) in blocked.into_iter().flatten() {
                self.drop_down(conn, &frame, Cause::BrokerCrash);
            }
            self.gone(conn, self.now);
            let at = self.down_arrival(conn, self.now, 0);
            self.schedule(at, Event::ClientClosed { conn });
        }
        let mut chance = self.seed.fork("disk").nth(self.boots).rng();
        let lost_from = self.disk.crash(how, &mut chance);
        self.disk_free = self.now;
        self.crashes.push(NodeCrash {
            at_ns: self.now.nanos_since(self.zero),
            how,
            lost_from_ns: lost_from.map_or(u64::MAX, |at| at.nanos_since(self.zero)),
        });
    }
}
