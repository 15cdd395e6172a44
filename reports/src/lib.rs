//! The record of a run, and everything that renders it.
//!
//! **What it is for.** A [`record::Record`] is the documented JSON file that a
//! run leaves behind. The renderings ([`render::render`]) turn one into a page
//! for a browser or a terminal, charts, or tables for a spreadsheet; [`compare`]
//! sets two side by side.
//!
//! **What it never does.** It knows the record and nothing else: no broker, no
//! scenario file, no clock. It opens no file; callers hand it text and take text.
//! A record is a stranger's file, so every text in it passes through
//! [`clean`] before it reaches a terminal.
//!
//! **Where to start reading.** [`record`] for the fields, then [`text`], then
//! [`html`] with [`charts`].

pub mod charts;
pub mod clean;
pub mod compare;
pub mod csv;
pub(crate) mod findings;
pub mod html;
pub mod markdown;
pub mod markup;
pub mod record;
pub mod render;
pub mod sequence;
pub mod text;
