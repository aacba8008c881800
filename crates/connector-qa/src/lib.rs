//! connector-qa
