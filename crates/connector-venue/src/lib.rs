//! connector-venue
