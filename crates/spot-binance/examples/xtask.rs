//! This connector's runner for `cargo xtask`: hands the dialect to the commands, which are the same for every connector.

use std::process::ExitCode;

use spot_binance::SpotBinance;
use spot_binance::venue::BinanceFace;

fn main() -> ExitCode {
    connector_qa::command_line::run(SpotBinance, || Box::new(BinanceFace))
}
