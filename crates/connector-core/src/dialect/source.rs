//! Where declarations come from.

use serde::Serialize;

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Source {
    /// The venue's page.
    pub url: &'static str,
    /// The day it was read, `YYYY-MM-DD`.
    pub read: &'static str,
}
