//! `bot`: a connector that trades in a process of its own, for checks that need several processes.

use std::io::Write;

use connector_core::dialect::Dialect;

use super::{Ended, block_on};
use crate::bot;

/// Trades until told to stop.
pub(super) fn serve<D: Dialect>(dialect: D, out: &mut dyn Write) -> Result<(), Ended> {
    // It has told why.
    block_on(bot::trade(dialect, out))?.map_err(|_| Ended::Failed)
}
