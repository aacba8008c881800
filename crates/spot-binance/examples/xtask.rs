//! This connector's runner for `cargo xtask`: hands the dialect to the commands, which are the same for every connector.

fn main() {}
