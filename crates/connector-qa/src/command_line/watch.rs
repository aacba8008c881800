//! `watch`: a connector seen live in a terminal.

use std::time::Duration;

use clap::Args;
use connector_core::dialect::{Dialect, LinkRole};
use connector_core::{Cause, Connector, Error, Pair};
use connector_venue::server::{Server, wall_clock};
use connector_venue::setup::Setup;
use connector_venue::venue::Venue;

use super::venue::told_to_end;
use super::{Ended, MakeFace, block_on};
use crate::bench::{credentials, main_key, urls};
use crate::watch::{Screen, is_terminal, view};

/// Longest wait at the end for own orders to be cancelled.
const PATIENCE: Duration = Duration::from_secs(3);

/// Options of `watch`.
#[derive(Args)]
pub(super) struct WatchArguments {
    /// The pair to watch, written BASE-QUOTE
    pair: Pair,
    /// Watch the venue itself at this domain, public data only, not the embedded one
    #[arg(long, value_name = "NAME")]
    domain: Option<String>,
    /// Seed of the embedded venue's market
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Shows the connector until told to end.
pub(super) fn watch<D: Dialect>(dialect: D, face: &MakeFace, arguments: WatchArguments) -> Result<(), Ended> {
    if !is_terminal() {
        return Err(Ended::Usage(
            "`watch` needs a terminal as standard input and output; `replay --events` and `venue` suit a pipe".to_owned(),
        ));
    }
    let other = |error: &dyn std::fmt::Display| Ended::Io(std::io::Error::other(error.to_string()));
    let refused = |error: Error| match error.cause {
        Cause::Usage | Cause::Market => Ended::Usage(error.to_string()),
        _ => other(&error),
    };
    let mut builder = Connector::builder(dialect).pairs([arguments.pair.clone()]);
    let (venue, place) = if let Some(domain) = arguments.domain {
        builder = builder.domain(domain.clone());
        (None, domain)
    } else {
        let face = face();
        let setup = Setup { start: wall_clock(), ..face.setup(arguments.seed) };
        if let Some(key) = main_key(&setup) {
            builder = builder.credentials(credentials(&key));
        }
        let venue = Venue::with_setup(face, setup).map_err(|error| other(&error))?;
        (Some(venue), "the embedded venue".to_owned())
    };
    block_on(async {
        let trades = venue.is_some();
        let server = match venue {
            Some(venue) => Some(Server::start(venue, 0).await?),
            None => None,
        };
        if let Some(server) = &server {
            builder = builder.urls(urls(server));
        }
        let connector = builder.connect().await.map_err(refused)?;
        // Without credentials the account's links are never opened.
        let links = D::SPEC.links.iter().filter(|link| trades || link.role == LinkRole::Public);
        let links: Vec<&str> = links.map(|link| link.name).collect();
        let screen = Screen::new(D::SPEC.name, &place, arguments.pair, &links, wall_clock());
        let shown = view(&connector, screen, told_to_end(true)).await;
        let stopped = connector.stop(PATIENCE).await;
        if let Some(server) = server {
            server.stop().await;
        }
        shown?;
        stopped.map_err(|error| other(&error))
    })?
}
