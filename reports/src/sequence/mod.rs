//! The life of one message as a sequence diagram.
//!
//! **What it is for.** A [`Sequence`] is one message's way through one contender:
//! steps between publisher, node, disk and consumer, with their times.
//! [`text()`] draws sequences one after the other in 80 columns, [`svg()`] side by
//! side, as a teacher draws them on the board.
//!
//! **What it never does.** It is no record and measures nothing: whoever follows
//! a message hands the steps over. Texts in them pass through [`crate::clean`].
//!
//! **Where to start reading.** [`Sequence`], then `text.rs`.

mod svg;
mod text;

pub use svg::svg;
pub use text::text;

/// Who takes part, from left to right.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// The application that sends, and its client.
    Publisher,
    /// The broker.
    Node,
    /// The node's disk.
    Disk,
    /// The applications that receive, and their clients.
    Consumer,
}

impl Lane {
    /// All of them, from left to right.
    pub const ALL: [Lane; 4] = [Lane::Publisher, Lane::Node, Lane::Disk, Lane::Consumer];

    /// The heading of its lifeline.
    pub const fn title(self) -> &'static str {
        match self {
            Lane::Publisher => "publisher",
            Lane::Node => "node",
            Lane::Disk => "disk",
            Lane::Consumer => "consumer",
        }
    }
}

/// One step of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// From whom.
    pub from: Lane,
    /// To whom; the same for something that happens in one place.
    pub to: Lane,
    /// When it begins, in nanoseconds from the moment that the message was due.
    pub leaves_ns: u64,
    /// When it ends.
    pub arrives_ns: u64,
    /// Which publisher or consumer, such as `ingest[2]`; empty for the node.
    pub who: String,
    /// What happens, in a few words.
    pub what: String,
}

/// One message's way through one contender.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sequence {
    /// The contender, with its preset where one was asked for.
    pub contender: String,
    /// The message's place in the plan.
    pub message: u32,
    /// Where it was published.
    pub channel: String,
    /// In any order.
    pub steps: Vec<Step>,
}

/// Consumers of one message that are drawn; of more, the last one is, too.
const CONSUMERS: usize = 3;

impl Sequence {
    /// The steps to draw, in the order of their beginnings, and how many
    /// consumers are left out.
    fn drawn(&self) -> (Vec<&Step>, usize) {
        let mut steps: Vec<&Step> = self.steps.iter().collect();
        steps.sort_by_key(|step| (step.leaves_ns, step.arrives_ns));
        let mut consumers: Vec<&str> = Vec::new();
        for step in &steps {
            if is_consumers(step) && !consumers.contains(&step.who.as_str()) {
                consumers.push(&step.who);
            }
        }
        if consumers.len() <= CONSUMERS + 1 {
            return (steps, 0);
        }
        let last = steps.iter().rev().find(|step| is_consumers(step)).map(|step| &step.who);
        let mut kept: Vec<&str> = consumers.iter().take(CONSUMERS).copied().collect();
        if let Some(last) = last.filter(|last| !kept.contains(&last.as_str())) {
            kept.push(last);
        }
        let left_out = consumers.len() - kept.len();
        steps.retain(|step| !is_consumers(step) || kept.contains(&step.who.as_str()));
        (steps, left_out)
    }

    /// When the last step ends.
    fn end_ns(&self) -> u64 {
        self.steps.iter().map(|step| step.arrives_ns).max().unwrap_or(0)
    }

    /// When the first consumer has the message.
    fn received_ns(&self) -> Option<u64> {
        let own = |step: &&Step| step.from == Lane::Consumer && step.to == Lane::Consumer;
        self.steps.iter().filter(own).map(|step| step.leaves_ns).min()
    }
}

fn is_consumers(step: &Step) -> bool {
    (step.from == Lane::Consumer || step.to == Lane::Consumer) && !step.who.is_empty()
}
