//! The dialect under measurement: Binance's own, with limits that a measurement does not use up.

use connector_core::Error;
use connector_core::dialect::{
    Channel, DecodeError, Dialect, Draft, Frame, Keyring, Pool, Rest, Spec, Stamp, VenueError,
};
use connector_core::message::Sink;
use smol_str::SmolStr;
use spot_binance::SpotBinance;

const REAL: &Spec = SpotBinance::SPEC;

/// Binance with a hundred thousand times the limits: the same pools, the same windows, the same costs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Unlimited;

const fn widened(real: Pool) -> Pool {
    let limit = real.limit.saturating_mul(100_000);
    Pool { limit, ..real }
}

#[allow(clippy::indexing_slicing, reason = "in a constant, an index out of bounds does not compile")]
const POOLS: &[Pool] = &[
    widened(REAL.pools[0]),
    widened(REAL.pools[1]),
    widened(REAL.pools[2]),
    widened(REAL.pools[3]),
    widened(REAL.pools[4]),
];

impl Dialect for Unlimited {
    const SPEC: &'static Spec = &Spec { pools: POOLS, ..*REAL };
    const REST: &'static Rest = SpotBinance::REST;

    fn sign(draft: &mut Draft, keys: &Keyring, stamp: Stamp) -> Result<(), Error> {
        SpotBinance::sign(draft, keys, stamp)
    }

    fn subscribe(on: bool, channels: &[(Channel, SmolStr)], id: u64) -> String {
        SpotBinance::subscribe(on, channels, id)
    }

    fn login(keys: &Keyring, stamp: Stamp, id: u64) -> Result<String, Error> {
        SpotBinance::login(keys, stamp, id)
    }

    fn frame(frame: Frame<'_>, out: &mut impl Sink) -> Result<(), DecodeError> {
        SpotBinance::frame(frame, out)
    }

    fn error(body: &[u8]) -> Option<VenueError> {
        SpotBinance::error(body)
    }
}
