//! The connector standard as code: checklists judged by the venue's ledger, replay, decode, record, reports.
//!
//! Names no exchange: a connector crate hands its dialect to [`command_line::run`] from a small example of its own.

pub mod bench;
pub mod bot;
pub mod chaos;
pub mod checklist;
pub mod command_line;
pub mod decode;
pub mod dice;
pub mod entry;
pub mod gauge;
pub mod holdings;
pub mod input;
pub mod kit;
pub mod lab;
pub mod payloads;
pub mod recorded;
pub mod replay;
pub mod report;
pub mod rows;
pub mod scratch;
pub mod story;
pub mod strategies;
pub mod watch;
