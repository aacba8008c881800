//! What error codes mean that spot does not have, or means otherwise.

use connector_core::Cause;
use connector_core::dialect::Fault;
use spot_binance::family;

/// All rows, those of both APIs last.
pub(crate) const FAULTS: [Fault; OWN.len() + family::FAULTS.len()] = family::joined(OWN);

const OWN: &[Fault] = &[
    // "100 % failure". The same page says so of -1008 (overload), but an order refused with it was once found alive, so that
    // one stays unclear.
    Fault::no(&["-1001"], Cause::Unavailable),
    Fault::no(&["-1011"], Cause::Credentials),
    Fault::no(&["-1004", "-1005", "-1013", "-1023", "-1110", "-1113", "-1126", "-1136"], Cause::BadRequest),
    Fault::no(&["-1099", "-1109", "-2017"], Cause::Permission),
    Fault::no(&["-1122"], Cause::Market),
    // The listen key has ended: another one has to be made.
    Fault::no(&["-1125"], Cause::Other),
    // 20xx: the account.
    Fault::no(&["-2012"], Cause::Other),
    Fault::no(&["-2018", "-2019", "-2028", "-4050", "-4051"], Cause::InsufficientBalance),
    Fault::no(&["-2020", "-2021"], Cause::Other),
    Fault::no(&["-2022", "-2023", "-2024", "-2027", "-4118"], Cause::Position),
    Fault::no(&["-2025"], Cause::TradingRule),
    Fault::no(&["-2026"], Cause::BadRequest),
    // 40xx: filters.
    Fault::no(
        &[
            "-4001", "-4002", "-4003", "-4004", "-4005", "-4006", "-4007", "-4013", "-4014", "-4016",
            "-4023", "-4024", "-4131", "-4164", "-4183", "-4184", "-4210", "-4211", "-5029",
        ],
        Cause::TradingRule,
    ),
    Fault::no(&["-4116"], Cause::DuplicateOrderId),
    // Leverage, margin and position mode. What is so already needs no change.
    Fault::no(&["-4046", "-4059", "-4171", "-5027"], Cause::Unchanged),
    Fault::no(
        &[
            "-4047", "-4048", "-4049", "-4054", "-4061", "-4067", "-4068", "-4161", "-4167", "-4168",
            "-4169", "-4170", "-4172",
        ],
        Cause::Position,
    ),
    Fault::no(&["-4028"], Cause::TradingRule),
    // What the account may do.
    Fault::no(
        &[
            "-4084", "-4087", "-4088", "-4109", "-4189", "-4192", "-4202", "-4203", "-4205", "-4206",
            "-4208", "-4209", "-4402", "-4403",
        ],
        Cause::Permission,
    ),
    // What the market may not be traded for now.
    Fault::no(
        &["-4022", "-4104", "-4105", "-4106", "-4107", "-4140", "-4141", "-4144", "-5024"],
        Cause::Market,
    ),
    // Requests we do not make so.
    Fault::no(
        &[
            "-4000", "-4015", "-4020", "-4021", "-4031", "-4055", "-4060", "-4062", "-4082", "-4120",
            "-4137", "-4138", "-4139", "-4165", "-5025", "-5037", "-5038", "-5039", "-5040", "-5047",
        ],
        Cause::BadRequest,
    ),
    Fault::no(&["-4045"], Cause::TradingRule),
    Fault::no(&["-4083", "-4117", "-4142", "-4400", "-4401"], Cause::Other),
    // 50xx: the matching engine.
    Fault::no(&["-5021", "-5026", "-5041", "-5043"], Cause::Other),
    Fault::no(&["-5022"], Cause::WouldTake),
    Fault::no(&["-5028"], Cause::Timestamp),
];
