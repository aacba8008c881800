//! `venue`: the embedded venue, served for any client in any language.

use std::io::{Read as _, Write};
use std::path::PathBuf;

use clap::Args;
use connector_core::{Decimal, Pair};
use connector_venue::faults::FaultRule;
use connector_venue::server::{Server, wall_clock};
use connector_venue::setup::{MarketStatus, Setup};
use connector_venue::venue::Venue;
use serde_json::{Value, json};

use super::{Ended, MakeFace, block_on, given};
use crate::bench::{credentials, main_key};
use crate::input;

/// Options of `venue`.
#[derive(Args)]
pub(super) struct VenueArguments {
    /// Port on 127.0.0.1; a free one if 0
    #[arg(long, value_name = "N", default_value_t = 0)]
    port: u16,
    /// Seed of the market's life
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// A recording to play as the market (not available yet)
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Faults to arm at the start: one JSON object, an array, or one object per line
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// How fast the market lives: 2 is twice as many orders and trades per second
    #[arg(long, value_name = "X", default_value = "1")]
    speed: Decimal,
    /// Go on when standard input ends
    #[arg(long)]
    detach_stdin: bool,
}

/// Serves until told to end.
pub(super) fn serve(face: &MakeFace, arguments: &VenueArguments, out: &mut dyn Write) -> Result<(), Ended> {
    if arguments.replay.is_some() {
        return Err(Ended::Usage(
            "`--replay` is not available yet: leave it out for a seeded live market".to_owned(),
        ));
    }
    let range = Decimal::new(1, 2)..=Decimal::ONE_HUNDRED;
    if !range.contains(&arguments.speed) {
        return Err(Ended::Usage(format!("`--speed {}` is out of range: 0.01 to 100", arguments.speed)));
    }
    let faults = match &arguments.faults {
        None => Vec::new(),
        Some(file) => faults(&given(input::read(Some(file)))?)
            .map_err(|error| Ended::Usage(format!("{} holds no readable faults: {error}", file.display())))?,
    };
    let face = face();
    let mut setup = Setup { start: wall_clock(), ..face.setup(arguments.seed) };
    quicken(&mut setup, arguments.speed);
    let announced = setup.clone();
    let wrong = |error: &dyn std::fmt::Display| Ended::Io(std::io::Error::other(error.to_string()));
    let mut venue = Venue::with_setup(face, setup).map_err(|error| wrong(&error))?;
    let now = connector_core::time::Now { utc: announced.start, ..Default::default() };
    for rule in faults {
        if venue.arm(now, rule).is_none() {
            return Err(Ended::Usage("the file holds more faults than can be armed at once".to_owned()));
        }
    }
    block_on(async {
        let server = Server::start(venue, arguments.port).await.map_err(|error| {
            Ended::Usage(format!(
                "cannot listen on 127.0.0.1:{}: {error}; choose another --port",
                arguments.port
            ))
        })?;
        writeln!(out, "{}", announcement(&server, &announced))?;
        out.flush()?;
        told_to_end(arguments.detach_stdin).await?;
        server.stop().await;
        Ok(())
    })?
}

/// One object, an array of them, or one per line.
fn faults(text: &[u8]) -> serde_json::Result<Vec<FaultRule>> {
    let mut rules = Vec::new();
    for value in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        match value? {
            Value::Array(list) => {
                for one in list {
                    rules.push(serde_json::from_value(one)?);
                }
            }
            one => rules.push(serde_json::from_value(one)?),
        }
    }
    Ok(rules)
}

/// Makes every live market `speed` times as lively, within what the exchange admits.
fn quicken(setup: &mut Setup, speed: Decimal) {
    use rust_decimal::prelude::ToPrimitive as _;
    for live in setup.markets.iter_mut().filter_map(|market| market.live.as_mut()) {
        let events = (Decimal::from(live.events_per_second) * speed).to_u32();
        live.events_per_second = events.unwrap_or(1_000).clamp(1, 1_000);
        let slower = |ms: u32| (Decimal::from(ms) / speed).to_u32().unwrap_or(u32::MAX).max(1);
        live.taker_interval_ms = (slower(live.taker_interval_ms.0), slower(live.taker_interval_ms.1));
    }
}

/// The first line on stdout: everything a client needs to know.
fn announcement(server: &Server, setup: &Setup) -> Value {
    let (spec, key) = (server.with(|venue, _| venue.face().spec()), main_key(setup));
    let credentials = key.as_ref().map(credentials);
    let urls = server.link_urls();
    let tradable = setup.markets.iter().filter(|market| market.status == MarketStatus::Trading);
    let pairs: Vec<_> =
        tradable.filter_map(|market| Pair::new(market.base.as_str(), market.quote.as_str())).collect();
    json!({
        "connector": spec.name,
        "rest_url": server.rest_url(),
        // Without a path, as clients written for the venue bring its paths along; `ws_urls` has the complete ones.
        "ws_url": server.local_url("wss://venue"),
        "ws_urls": urls,
        "api_key": credentials.as_ref().map(|known| &known.key),
        "api_secret": credentials.as_ref().map(|known| known.secret.expose()),
        "passphrase": credentials.as_ref().and_then(|known| known.passphrase.as_ref()).map(|known| known.expose()),
        "wallet": null,
        "pairs": pairs,
        "control_url": server.control_url(),
    })
}

/// Waits for SIGINT, SIGTERM or, unless detached, the end of standard input.
pub(super) async fn told_to_end(detached: bool) -> std::io::Result<()> {
    let (ended, input_ended) = tokio::sync::oneshot::channel::<()>();
    if detached {
        // Kept for as long as the process lives, so that the channel never closes.
        std::mem::forget(ended);
    } else {
        // A thread of its own, because reading a terminal cannot be interrupted; it ends with the process.
        std::thread::spawn(move || {
            let mut buffer = [0; 256];
            while matches!(std::io::stdin().read(&mut buffer), Ok(read) if read > 0) {}
            drop(ended);
        });
    }
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = input_ended => {}
        }
    }
    #[cfg(not(unix))]
    tokio::select! {
        ended = tokio::signal::ctrl_c() => ended?,
        _ = input_ended => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_in_three_forms() {
        let one = r#"{"fault":"net.drop_reply","match":{"row":"place"}}"#;
        for text in [one.to_owned(), format!("[{one},{one}]"), format!("{one}\n{one}\n")] {
            assert!(!faults(text.as_bytes()).unwrap().is_empty());
        }
        assert!(faults(br#"{"fault":"no.such"}"#).is_err());
        assert!(faults(b"{").is_err());
    }
}
