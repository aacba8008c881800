//! What error codes mean that both APIs have.

use connector_core::Cause;
use connector_core::dialect::Fault;

/// Codes with the same meaning in both APIs. A connector's own rows stand before them.
pub const FAULTS: &[Fault] = &[
    // Answers of market streams.
    Fault::no(&["0", "1", "2", "3"], Cause::BadRequest),
    // 10xx: server and network. What the venue cannot vouch for may have happened.
    Fault::says(&["-1003"], "banned", Cause::Banned),
    Fault::unclear(&["-1000", "-1006", "-1008"], Cause::Unavailable),
    Fault::no(&["-1002"], Cause::Permission),
    Fault::no(&["-1003", "-1015"], Cause::RateLimited),
    Fault::unclear(&["-1007"], Cause::Timeout),
    Fault::no(&["-1010"], Cause::Other),
    Fault::no(&["-1014", "-1020"], Cause::BadRequest),
    Fault::no(&["-1016"], Cause::Unavailable),
    Fault::no(&["-1021"], Cause::Timestamp),
    Fault::no(&["-1022"], Cause::Signature),
    // 11xx: the request.
    Fault::no(
        &[
            "-1100", "-1101", "-1102", "-1103", "-1104", "-1105", "-1106", "-1108", "-1114", "-1115",
            "-1116", "-1117", "-1118", "-1119", "-1120", "-1127", "-1128", "-1130",
        ],
        Cause::BadRequest,
    ),
    Fault::no(&["-1111"], Cause::TradingRule),
    Fault::no(&["-1112", "-1121"], Cause::Market),
    // 20xx: the matching engine and the account.
    Fault::says(&["-2011"], "Unknown order sent", Cause::OrderNotFound),
    Fault::no(&["-2010", "-2011"], Cause::Other),
    Fault::no(&["-2013"], Cause::OrderNotFound),
    Fault::no(&["-2014", "-2015"], Cause::Credentials),
    Fault::no(&["-2016"], Cause::Market),
];

/// One table of two, the connector's own rows first: the first row that fits decides. `N` is the sum of both lengths.
#[must_use]
#[allow(clippy::indexing_slicing, reason = "worked out by the compiler, which refuses an index out of range")]
pub const fn joined<const N: usize>(own: &[Fault]) -> [Fault; N] {
    assert!(N == own.len() + FAULTS.len(), "the table has as many rows as both parts");
    let (mut all, mut place) = ([FAULTS[0]; N], 0);
    while place < N {
        all[place] = if place < own.len() { own[place] } else { FAULTS[place - own.len()] };
        place += 1;
    }
    all
}
