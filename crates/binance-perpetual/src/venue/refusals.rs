//! Refusals in the words of this API: D/error-code, and as seen live where the page has placeholders.

use connector_core::Decimal;
use connector_venue::exchange::Exchange;
use connector_venue::face::Denied;
use connector_venue::orders::{Reject, Rule};
use spot_binance::venue::answer::{LimitTexts, Refused};

const TEXTS: LimitTexts = LimitTexts {
    banned: |until| {
        format!(
            "Way too many requests; IP banned until {until}. Please use the websocket for live updates to avoid bans."
        )
    },
    weight: |limit, _, _| {
        format!(
            "Too many requests; current limit is {limit} requests per minute. Please use the websocket for live \
             updates to avoid polling the API."
        )
    },
    orders: |limit, number, unit| {
        let window = if unit == "SECOND" { "TEN_SECONDS" } else { unit };
        debug_assert!(number == 1 || unit == "SECOND", "windows are of ten seconds and of a minute");
        format!("Too many new orders; current limit is {limit} orders per {window}.")
    },
};

/// A limit or a ban.
pub(super) fn denied(denied: &Denied, exchange: &Exchange) -> Refused {
    Refused::limited(denied, exchange, &TEXTS)
}

pub(super) fn unsupported() -> Refused {
    Refused::new(-1020, "This operation is not supported.")
}

pub(super) fn imprecise() -> Refused {
    Refused::new(-1111, "Precision is over the maximum defined for this asset.")
}

pub(super) fn no_order() -> Refused {
    Refused::new(-2013, "Order does not exist.")
}

pub(super) fn no_listen_key() -> Refused {
    Refused::new(
        -1125,
        "This listenKey does not exist. Please use POST /fapi/v1/listenKey to recreate listenKey",
    )
}

pub(super) fn min_notional(least: Decimal) -> Refused {
    let least = least.normalize();
    Refused::new(
        -4164,
        format!("Order's notional must be no smaller than {least} (unless you choose reduce only)."),
    )
}

/// What the matching engine, or the checks before it, said of a placement.
pub(super) fn placement(reject: Reject) -> Refused {
    let (code, text) = match reject {
        Reject::UnknownMarket | Reject::NoContract => return Refused::invalid_symbol(),
        Reject::UnknownAccount => return Refused::bad_key(),
        Reject::PriceMissing => return Refused::missing("price"),
        Reject::InsufficientMargin => (-2019, "Margin is insufficient."),
        Reject::InsufficientBalance => (-2018, "Balance is insufficient."),
        Reject::WouldTake => (
            -5022,
            "Due to the order could not be executed as maker, the Post Only order will be rejected. The order will not \
             be recorded in the order history",
        ),
        Reject::WouldNotFill => (
            -5021,
            "Due to the order could not be filled immediately, the FOK order has been rejected. The order will not be \
             recorded in the order history",
        ),
        Reject::DuplicateClientId => (-4116, "ClientOrderId is duplicated."),
        Reject::MarketClosed => (-4141, "Symbol is closed."),
        Reject::NotReducing => (-2022, "ReduceOnly Order is rejected."),
        Reject::PositionSide => (-4061, "Order's position side does not match user's setting."),
        Reject::PositionLimit => (-2027, "Exceeded the maximum allowable position at current leverage."),
        Reject::UnsupportedType => (
            -4120,
            "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
        ),
        Reject::Rule(Rule::PriceFilter) => (-4014, "Price not increased by tick size."),
        Reject::Rule(Rule::LotSize) => (-4023, "Qty not increased by step size."),
        Reject::Rule(Rule::MarketLotSize) => (-4005, "Quantity greater than max quantity."),
        Reject::Rule(Rule::MaxOpenOrders) => (-2025, "Reach max open order limit."),
        _ => (-2010, "NEW_ORDER_REJECTED"),
    };
    Refused::new(code, text)
}

/// What the exchange said of a cancel.
pub(super) fn cancel(reject: Reject) -> Refused {
    match reject {
        Reject::UnknownMarket => Refused::invalid_symbol(),
        _ => Refused::new(-2011, "Unknown order sent."),
    }
}

/// What the exchange said of a change of settings that more than one request can ask for.
fn setting(reject: Reject) -> Refused {
    match reject {
        Reject::NoContract | Reject::UnknownMarket => Refused::invalid_symbol(),
        Reject::UnknownAccount => Refused::bad_key(),
        _ => Refused::new(-1000, "An unknown error occurred while processing the request."),
    }
}

pub(super) fn position_mode(reject: Reject) -> Refused {
    let (code, text) = match reject {
        Reject::NoChange => (-4059, "No need to change position side."),
        Reject::HasOrders => (-4067, "Position side cannot be changed if there exists open orders."),
        Reject::HasPosition => (-4068, "Position side cannot be changed if there exists position."),
        other => return setting(other),
    };
    Refused::new(code, text)
}

pub(super) fn margin_mode(reject: Reject) -> Refused {
    let (code, text) = match reject {
        Reject::NoChange => (-4046, "No need to change margin type."),
        Reject::HasOrders => (-4047, "Margin type cannot be changed if there exists open orders."),
        Reject::HasPosition => (-4048, "Margin type cannot be changed if there exists position."),
        Reject::MultiAssets => {
            (-4168, "Unable to adjust to isolated-margin mode under the Multi-Assets mode.")
        }
        other => return setting(other),
    };
    Refused::new(code, text)
}

pub(super) fn multi_assets(reject: Reject) -> Refused {
    let (code, text) = match reject {
        Reject::NoChange => {
            (-4171, "Adjusted asset mode is currently set and does not need to be adjusted repeatedly.")
        }
        Reject::MultiAssets => (
            -4167,
            "Unable to adjust to Multi-Assets mode with symbols of USDⓈ-M Futures under isolated-margin mode.",
        ),
        other => return setting(other),
    };
    Refused::new(code, text)
}

pub(super) fn leverage(reject: Reject, leverage: &str) -> Refused {
    let (code, text) = match reject {
        Reject::LeverageOutOfRange => {
            return Refused::new(-4028, format!("Leverage {leverage} is not valid"));
        }
        Reject::PositionLimit => (-2027, "Exceeded the maximum allowable position at current leverage."),
        Reject::InsufficientMargin => {
            (-2028, "Leverage is smaller than permitted: insufficient margin balance.")
        }
        Reject::IsolatedLeverage => {
            (-4161, "Leverage reduction is not supported in Isolated Margin Mode with open positions.")
        }
        other => return setting(other),
    };
    Refused::new(code, text)
}

pub(super) fn isolated_margin(reject: Reject, adds: bool) -> Refused {
    let (code, text) = match reject {
        Reject::NoPosition => (-4054, "Cannot add position margin: position is 0."),
        Reject::InsufficientMargin if adds => (-4050, "Cross balance insufficient."),
        Reject::InsufficientMargin => (-4051, "Isolated balance insufficient."),
        Reject::Rule(_) => (-4055, "Amount must be positive."),
        other => return setting(other),
    };
    Refused::new(code, text)
}
