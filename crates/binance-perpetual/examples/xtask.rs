//! This connector's runner for `cargo xtask`: hands the dialect to the commands, which are the same for every connector.

use std::process::ExitCode;

use binance_perpetual::BinancePerpetual;
use connector_venue::face::Face;

fn main() -> ExitCode {
    let face = || -> Box<dyn Face> { panic!("the embedded venue does not speak this protocol yet") };
    connector_qa::command_line::run(BinancePerpetual, face)
}
