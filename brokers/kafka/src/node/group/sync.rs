//! The leader's assignment, and who receives it.

use broker_contract::Time;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::SyncGroupResponse;
use kafka_protocol::protocol::StrBytes;

use super::{Group, Said, Speaker, State};
use crate::node::conns::Asker;

/// A request for an assignment; the leader's brings everybody's.
#[derive(Clone, Debug)]
pub struct Sync {
    /// Who asks.
    pub to: Asker,
    /// The member's id.
    pub member: StrBytes,
    /// The instance id of a static member.
    pub instance: Option<StrBytes>,
    /// The generation that it believes in.
    pub generation: i32,
    /// The kind of group that it believes in, if it says so.
    pub protocol_type: Option<StrBytes>,
    /// The assignor that it believes in, if it says so.
    pub protocol: Option<StrBytes>,
    /// The leader's assignment, by member.
    pub assignments: Vec<(StrBytes, Bytes)>,
}

impl Group {
    /// A member asks for its assignment.
    pub fn sync(&mut self, now: Time, ask: Sync, said: &mut Said) {
        let to = ask.to;
        if let Err(error) = self.try_sync(now, ask, said) {
            said.fenced(error);
            said.answer(to, SyncGroupResponse::default().with_error_code(error.code()));
        }
    }

    fn try_sync(&mut self, now: Time, ask: Sync, said: &mut Said) -> Result<(), ResponseError> {
        let Sync { to, member, instance, generation, .. } = ask;
        self.check(Speaker { member: &member, instance: instance.as_ref(), generation })?;
        let differs = |said: &Option<StrBytes>, known: &Option<StrBytes>| {
            said.is_some() && said.as_ref() != known.as_ref()
        };
        if differs(&ask.protocol_type, &self.protocol_type)
            || differs(&ask.protocol, &self.protocol)
        {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty | State::Dead => Err(ResponseError::UnknownMemberId),
            State::PreparingRebalance => Err(ResponseError::RebalanceInProgress),
            State::Stable => {
                if let Some(state) = self.members.get_mut(&member) {
                    state.has_synced = true;
                    state.is_alive(now);
                }
                said.answer(to, self.assignment(&member));
                Ok(())
            }
            State::CompletingRebalance => {
                if let Some(state) = self.members.get_mut(&member) {
                    state.has_synced = true;
                    if let Some(before) = state.syncs.replace(to) {
                        let code = ResponseError::UnknownMemberId.code();
                        said.answer(before, SyncGroupResponse::default().with_error_code(code));
                    }
                }
                if self.leader.as_ref() == Some(&member) {
                    self.assign(now, ask.assignments, said);
                }
                Ok(())
            }
        }
    }

    /// The leader's assignment is here.
    fn assign(&mut self, now: Time, assignments: Vec<(StrBytes, Bytes)>, said: &mut Said) {
        for (id, assignment) in assignments {
            if let Some(member) = self.members.get_mut(&id) {
                member.assignment = assignment;
            }
        }
        self.state = State::Stable;
        said.store = true;
        let waiting: Vec<(StrBytes, Asker)> = self
            .members
            .iter_mut()
            .filter_map(|(id, member)| {
                let to = member.syncs.take()?;
                member.is_alive(now);
                Some((id.clone(), to))
            })
            .collect();
        for (id, to) in waiting {
            said.answer(to, self.assignment(&id));
        }
    }

    fn assignment(&self, id: &StrBytes) -> SyncGroupResponse {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        SyncGroupResponse::default()
            .with_protocol_type(self.protocol_type.clone())
            .with_protocol_name(self.protocol.clone())
            .with_assignment(assignment.unwrap_or_default())
    }

    /// The time to ask for an assignment is over; who has not is out.
    pub(super) fn end_sync(&mut self, now: Time, said: &mut Said) {
        self.sync_until = None;
        let silent: Vec<StrBytes> = self
            .members
            .iter()
            .filter(|(_, member)| !member.has_synced && member.instance.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        for id in silent {
            self.remove(now, &id, said);
        }
    }
}
