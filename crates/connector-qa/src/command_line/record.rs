//! `record`: a raw public stream into a file.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use connector_core::dialect::Dialect;
use connector_core::recording::{RawFile, Recorded};
use connector_core::{Connector, Error, Pair};
use connector_venue::server::{Server, wall_clock};
use connector_venue::setup::Setup;
use connector_venue::venue::Venue;

use super::venue::told_to_end;
use super::{Ended, MakeFace, block_on};
use crate::bench::urls;

/// Options of `record`.
#[derive(Args)]
pub(super) struct RecordArguments {
    /// Pairs to record, written BASE-QUOTE
    #[arg(required = true, value_name = "PAIR")]
    pairs: Vec<Pair>,
    /// Where to; compressed if the name ends in .gz
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Record the venue itself at this domain, not the embedded one
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// End after this long; otherwise at SIGINT or SIGTERM
    #[arg(long, value_name = "N")]
    seconds: Option<u64>,
    /// Seed of the embedded venue's market
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Records until told to end.
pub(super) fn record<D: Dialect>(
    dialect: D,
    face: &MakeFace,
    arguments: RecordArguments,
) -> Result<(), Ended> {
    let other = |error: &dyn std::fmt::Display| Ended::Io(std::io::Error::other(error.to_string()));
    let refused = |error: Error| match error.cause {
        connector_core::Cause::Usage | connector_core::Cause::Market => Ended::Usage(error.to_string()),
        _ => other(&error),
    };
    let venue = match arguments.domain {
        Some(_) => None,
        None => {
            let face = face();
            let setup = Setup { start: wall_clock(), ..face.setup(arguments.seed) };
            Some(Venue::with_setup(face, setup).map_err(|error| other(&error))?)
        }
    };
    let file = RawFile::create(&arguments.out).map_err(|error| Ended::Usage(error.to_string()))?;
    let builder = Connector::builder(dialect).pairs(arguments.pairs).record_market_data(file);
    let ended = block_on(async {
        let server = match venue {
            Some(venue) => Some(Server::start(venue, 0).await?),
            None => None,
        };
        let builder = match (&server, arguments.domain) {
            (Some(server), _) => builder.urls(urls(server)),
            (None, Some(domain)) => builder.domain(domain),
            (None, None) => builder,
        };
        let connector = builder.connect().await.map_err(refused)?;
        let wait = arguments.seconds.map_or(Duration::MAX, Duration::from_secs);
        // A signal and the end of the time asked for are equally good ends.
        if let Ok(told) = tokio::time::timeout(wait, told_to_end(true)).await {
            told?;
        }
        connector.clone().stop(Duration::from_secs(1)).await.map_err(refused)?;
        if let Some(server) = server {
            server.stop().await;
        }
        Ok(connector.recorded().unwrap_or_default())
    })?;
    let Recorded { messages, dropped, failure, .. } = match ended {
        Ok(recorded) => recorded,
        Err(ended) => {
            // Half a recording of nothing is no recording.
            let _ = std::fs::remove_file(&arguments.out);
            return Err(ended);
        }
    };
    if let Some(error) = failure {
        return Err(other(&error));
    }
    let lost = if dropped > 0 { format!(", {dropped} dropped") } else { String::new() };
    writeln!(std::io::stderr(), "{messages} frames recorded in {}{lost}", arguments.out.display())?;
    Ok(())
}
