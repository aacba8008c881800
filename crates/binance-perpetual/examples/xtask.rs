//! This connector's runner for `cargo xtask`: hands the dialect to the commands, which are the same for every connector.

use std::process::ExitCode;

use binance_perpetual::BinancePerpetual;
use binance_perpetual::venue::BinancePerpetualFace;

fn main() -> ExitCode {
    connector_qa::command_line::run(BinancePerpetual, || Box::new(BinancePerpetualFace))
}
