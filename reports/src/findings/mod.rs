//! Sentences made from data.
//!
//! **What it is for.** What a chart, a table or the page as a whole shows, said
//! in words and figures, so that the page, Markdown and pictures say the same.
//!
//! **What it never does.** It ranks no figure that the instrument's own lag
//! dominates, compares no simulated figure with a measured one, and decides
//! nothing: the verdict is the record's.
//!
//! **Where to start reading.** [`verdict`] for the story that the page opens
//! with, then [`speed`] as an example of a chart's title.

pub(crate) mod anatomy;
pub(crate) mod books;
pub(crate) mod cast;
pub(crate) mod faults;
pub(crate) mod load;
pub(crate) mod objectives;
pub(crate) mod promises;
pub(crate) mod sockets;
pub(crate) mod speed;
pub(crate) mod stream;
pub(crate) mod verdict;
pub(crate) mod words;
