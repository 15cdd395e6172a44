//! Who takes part: clients and the seats of their subscriptions.

use broker_contract::Ticket;
use lab_workloads::plan::Interest;
use lab_workloads::scenario::model::{Connections, ContenderOverrides, Role, Scenario};

/// Tickets of subscriptions carry this bit, and the seat below it.
const SEAT_BIT: u64 = 1 << 63;
/// Tickets of answers and settlements carry this bit; nobody waits for them.
const FOLLOW_UP_BIT: u64 = 1 << 62;
/// Tickets of declarations carry this bit, and the declaration below it.
const DECLARATION_BIT: u64 = 1 << 61;

/// One subscription of one member.
#[derive(Clone, Debug)]
pub struct Seat {
    /// Index into the scenario's populations.
    pub population: u16,
    /// The member.
    pub member: u32,
    /// What must receive one copy: a group, or this member alone.
    pub scope: u32,
    /// The client that holds the subscription.
    pub client: u32,
}

/// Clients and seats of a trial, dense and in the order of the scenario.
#[derive(Clone, Debug)]
pub struct Cast {
    /// The population of each client.
    pub client_population: Vec<u16>,
    /// The first client of each population, and how many it has.
    pub clients: Vec<(u32, u32)>,
    /// All subscriptions.
    pub seats: Vec<Seat>,
    /// The first seat of each population.
    pub first_seat: Vec<u32>,
    /// The seats of each client, for clients that have any.
    pub seats_of_client: Vec<Vec<u32>>,
    /// Members that share each scope.
    pub seats_per_scope: Vec<u32>,
    /// The client, behind all others, that makes the scenario's logs before
    /// anybody else starts. It belongs to nobody and reaches the broker as the
    /// first population does.
    pub operator: u32,
}

impl Cast {
    /// The cast of `scenario`, with the connections that `overrides` ask for.
    pub fn new(scenario: &Scenario, overrides: &ContenderOverrides, interest: &Interest) -> Cast {
        let mut cast = Cast {
            client_population: Vec::new(),
            clients: Vec::new(),
            seats: Vec::new(),
            first_seat: Vec::new(),
            seats_of_client: Vec::new(),
            seats_per_scope: vec![0; interest.scopes() as usize],
            operator: 0,
        };
        for (index, population) in scenario.populations.iter().enumerate() {
            let connections =
                overrides.connections.get(&index).copied().unwrap_or(population.connections);
            let count = match connections {
                Connections::PerMember => population.count,
                Connections::Shared(count) => count.clamp(1, population.count.max(1)),
            };
            let first = cast.client_population.len() as u32;
            cast.clients.push((first, count));
            cast.client_population.extend(std::iter::repeat_n(index as u16, count as usize));
            cast.first_seat.push(cast.seats.len() as u32);
            let receives = matches!(population.role, Role::Subscriber(_) | Role::Responder { .. });
            cast.seats_of_client.resize(cast.client_population.len(), Vec::new());
            if receives {
                for member in 0..population.count {
                    let scope = interest.scope(index, member);
                    let client = first + member % count;
                    cast.seats_of_client[client as usize].push(cast.seats.len() as u32);
                    cast.seats_per_scope[scope as usize] += 1;
                    cast.seats.push(Seat { population: index as u16, member, scope, client });
                }
            }
        }
        cast.operator = cast.client_population.len() as u32;
        cast.client_population.push(0);
        cast.seats_of_client.push(Vec::new());
        cast
    }

    /// The client that acts for a member.
    pub fn client_of(&self, population: usize, member: u32) -> u32 {
        let (first, count) = self.clients[population];
        first + member % count
    }

    /// Whether a client belongs to a population that receives.
    pub fn receives(&self, client: u32) -> bool {
        !self.seats_of_client[client as usize].is_empty()
    }
}

/// The ticket of a seat's subscription.
pub fn seat_ticket(seat: u32) -> Ticket {
    Ticket(SEAT_BIT | u64::from(seat))
}

/// The ticket of a publish or request.
pub fn number_ticket(number: u32) -> Ticket {
    Ticket(u64::from(number))
}

/// The ticket of a declaration.
pub fn declaration_ticket(log: u32) -> Ticket {
    Ticket(DECLARATION_BIT | u64::from(log))
}

/// A ticket that nobody waits for.
pub fn follow_up_ticket(count: &mut u64) -> Ticket {
    *count += 1;
    Ticket(FOLLOW_UP_BIT | *count)
}

/// What a ticket stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum TicketOf {
    /// The subscription of this seat.
    Seat(u32),
    /// The publish or request with this number.
    Number(u32),
    /// An answer or a settlement.
    FollowUp,
    /// The declaration of this log, by its place in the scenario's declarations.
    Declaration(u32),
}

/// Reads a ticket.
pub fn ticket_of(ticket: Ticket) -> TicketOf {
    if ticket.0 & SEAT_BIT != 0 {
        TicketOf::Seat(ticket.0 as u32)
    } else if ticket.0 & FOLLOW_UP_BIT != 0 {
        TicketOf::FollowUp
    } else if ticket.0 & DECLARATION_BIT != 0 {
        TicketOf::Declaration(ticket.0 as u32)
    } else {
        TicketOf::Number(ticket.0 as u32)
    }
}
