//! Trading rules: makes an order fit them, or says which limit it breaks.
//!
//! Exact. The amount is rounded down to its step and the price to its tick on the passive side: down to buy, up to sell. So
//! **rounding never grows an order and never turns a maker's price into a taker's**. Nothing else is changed: an order outside a
//! bound is refused, not moved.

use rust_decimal::Decimal;

use crate::error::{Cause, Effect, Error};
use crate::message::TradingRule;
use crate::mutants::{self, Mutant};
use crate::order::{NewOrder, OrderType, Side, TimeInForce};
use crate::position::PositionAction;

/// Price and amount of an order that its rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quantised {
    /// Limit price, a whole multiple of the tick; `None` for market orders.
    pub price: Option<Decimal>,
    /// Base amount, a whole multiple of the step.
    pub amount: Decimal,
}

/// Rounds `order` to `rule` and checks it.
///
/// The value of a market order is judged by `reference_price`, or the order's own price if it carries one; without either
/// the venue judges it.
///
/// # Errors
/// Nothing sent. [`Cause::Usage`] for an order that makes no sense anywhere, [`Cause::Market`] for a pair that is not
/// tradable now, [`Cause::TradingRule`] for a broken limit; the text names it, the value, and what would be right.
pub fn quantise(
    rule: &TradingRule,
    order: &NewOrder,
    reference_price: Option<Decimal>,
) -> Result<Quantised, Error> {
    check_sense(rule, order)?;
    if !rule.tradable {
        return Err(refuse(Cause::Market, order, format!("{} cannot be traded now", rule.pair)));
    }
    let amount = quantise_amount(rule, order)?;
    let price = match (order.order_type, order.price) {
        (OrderType::Market, _) => None,
        (_, Some(price)) => Some(quantise_price(rule, order, price)?),
        (_, None) => return Err(usage(order, "a limit order needs a price".into())),
    };
    check_notional(rule, order, amount, price.or(reference_price).or(order.price))?;
    Ok(Quantised { price, amount })
}

fn check_sense(rule: &TradingRule, order: &NewOrder) -> Result<(), Error> {
    if rule.pair != order.pair {
        return Err(usage(order, format!("the rule is of {}", rule.pair)));
    }
    if order.amount <= Decimal::ZERO {
        return Err(usage(order, format!("amount {} is not positive", order.amount.normalize())));
    }
    if let Some(price) = order.price.filter(|price| *price <= Decimal::ZERO) {
        return Err(usage(order, format!("price {} is not positive", price.normalize())));
    }
    if order.order_type != OrderType::Limit && order.time_in_force != TimeInForce::Gtc {
        return Err(usage(
            order,
            format!("a {} order cannot have a time in force of its own", order.order_type),
        ));
    }
    Ok(())
}

fn quantise_amount(rule: &TradingRule, order: &NewOrder) -> Result<Decimal, Error> {
    let asked = order.amount;
    let direction = if mutants::is(Mutant::RoundedUp) { Round::Up } else { Round::Down };
    let amount = round(asked, rule.amount_step, direction).ok_or_else(|| too_long(order, "amount", asked))?;
    let amount = amount.normalize();
    let least = rule.min_amount.into_iter().chain(rule.amount_step).max();
    if let Some(least) = least.filter(|least| amount < *least) {
        // The least that passes is a whole number of steps as well.
        let least = round(least, rule.amount_step, Round::Up).unwrap_or(least).normalize();
        let (base, asked) = (rule.pair.base(), asked.normalize());
        let limit = match rule.min_amount.filter(|min| amount < *min) {
            Some(min) => format!("min_amount {}", min.normalize()),
            None => format!("amount_step {}", rule.amount_step.unwrap_or_default().normalize()),
        };
        let rounded = if amount == asked { String::new() } else { format!(", rounded down to {amount},") };
        let why = format!("amount {asked}{rounded} is below {limit} {base}; use at least {least}");
        return Err(refuse(Cause::TradingRule, order, why));
    }
    if let Some(max) = rule.max_amount.filter(|max| amount > *max) {
        let (base, max) = (rule.pair.base(), max.normalize());
        let why = format!("amount {amount} is above max_amount {max} {base}; use at most {max}");
        return Err(refuse(Cause::TradingRule, order, why));
    }
    Ok(amount)
}

fn quantise_price(rule: &TradingRule, order: &NewOrder, asked: Decimal) -> Result<Decimal, Error> {
    let direction = match order.side {
        Side::Buy => Round::Down,
        Side::Sell => Round::Up,
    };
    let price = round(asked, rule.price_step, direction).ok_or_else(|| too_long(order, "price", asked))?;
    let price = price.normalize();
    let broken = |limit: &str, value: Decimal, advice: &str| {
        let (asked, value) = (asked.normalize(), value.normalize());
        let told = if price == asked { format!("{price}") } else { format!("{asked}, rounded to {price},") };
        let side = if advice == "most" { "above" } else { "below" };
        let why =
            format!("price {told} is {side} {limit} {value} {}; use at {advice} {value}", rule.pair.quote());
        Err(refuse(Cause::TradingRule, order, why))
    };
    if price.is_zero() {
        return broken("price_step", rule.price_step.unwrap_or_default(), "least");
    }
    if let Some(min) = rule.min_price.filter(|min| price < *min) {
        return broken("min_price", min, "least");
    }
    if let Some(max) = rule.max_price.filter(|max| price > *max) {
        return broken("max_price", max, "most");
    }
    Ok(price)
}

fn check_notional(
    rule: &TradingRule,
    order: &NewOrder,
    amount: Decimal,
    price: Option<Decimal>,
) -> Result<(), Error> {
    if order.action == Some(PositionAction::Close) {
        // What is left of a position can always be closed.
        return Ok(());
    }
    let (Some(min), Some(price)) = (rule.min_notional, price.filter(|price| *price > Decimal::ZERO)) else {
        return Ok(());
    };
    // A product too large for the type is certainly not too small.
    let Some(notional) = price.checked_mul(amount).filter(|notional| *notional < min) else { return Ok(()) };
    let enough = min.checked_div(price).and_then(|amount| round(amount, rule.amount_step, Round::Up));
    let advice = enough
        .map_or_else(String::new, |enough| format!("; use an amount of at least {}", enough.normalize()));
    let why = format!(
        "price {} x amount {amount} = {} is below min_notional {} {}{advice}",
        price.normalize(),
        notional.normalize(),
        min.normalize(),
        rule.pair.quote()
    );
    Err(refuse(Cause::TradingRule, order, why))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Round {
    Down,
    Up,
}

/// Whether `value` is certainly a whole multiple of `step`: by small numbers, as nearly all are, and without wide divisions.
fn is_multiple(value: Decimal, step: Decimal) -> bool {
    let scale = value.scale().max(step.scale());
    let whole = |number: Decimal| {
        let mantissa = u64::try_from(number.mantissa()).ok()?;
        10_u64.checked_pow(scale - number.scale())?.checked_mul(mantissa)
    };
    whole(value).zip(whole(step)).is_some_and(|(value, step)| value.checked_rem(step) == Some(0))
}

/// `value`, not negative, rounded to a whole multiple of `step`; as it is without a step. `None` if that has too many digits.
fn round(value: Decimal, step: Option<Decimal>, direction: Round) -> Option<Decimal> {
    let Some(step) = step.filter(|step| *step > Decimal::ZERO) else {
        return Some(value);
    };
    if is_multiple(value, step) {
        return Some(value);
    }
    let (value, step) = (value.normalize(), step.normalize());
    let scale = value.scale().max(step.scale());
    let whole = |number: Decimal| {
        10_i128.checked_pow(scale - number.scale()).and_then(|factor| number.mantissa().checked_mul(factor))
    };
    let (units, step_units) = (whole(value)?, whole(step)?);
    let rest = units.checked_rem(step_units)?;
    let rounded = match direction {
        _ if rest == 0 => units,
        Round::Down => units - rest,
        Round::Up => (units - rest).checked_add(step_units)?,
    };
    // A multiple of the step has no more decimals than the step.
    let shorter = rounded / 10_i128.checked_pow(scale - step.scale())?;
    Decimal::try_from_i128_with_scale(shorter, step.scale()).ok()
}

fn refuse(cause: Cause, order: &NewOrder, why: String) -> Error {
    Error::new(cause, Effect::NotSent, "place", why).about(order.pair.as_str())
}

fn usage(order: &NewOrder, why: String) -> Error {
    refuse(Cause::Usage, order, why)
}

fn too_long(order: &NewOrder, field: &str, value: Decimal) -> Error {
    usage(order, format!("{field} {value} has too many digits"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Decimal {
        text.parse().unwrap()
    }

    fn rule() -> TradingRule {
        TradingRule {
            pair: "BTC-USDT".parse().unwrap(),
            exchange_symbol: "BTCUSDT".into(),
            min_amount: Some(number("0.00010000")),
            max_amount: Some(number("9000")),
            amount_step: Some(number("0.00003000")),
            price_step: Some(number("0.01000000")),
            min_price: Some(number("0.01")),
            max_price: Some(number("1000000")),
            min_notional: Some(number("5")),
            contract_size: None,
            collateral: None,
            tradable: true,
        }
    }

    fn limit(side: Side, amount: &str, price: &str) -> NewOrder {
        NewOrder::limit("BTC-USDT".parse().unwrap(), side, number(amount), number(price))
    }

    fn quantised(order: &NewOrder) -> (String, String) {
        let quantised = quantise(&rule(), order, None).unwrap();
        (quantised.price.unwrap().to_string(), quantised.amount.to_string())
    }

    #[test]
    fn rounds_to_the_passive_side_and_never_up_in_size() {
        let expect = |price: &str, amount: &str| (price.to_owned(), amount.to_owned());
        assert_eq!(quantised(&limit(Side::Buy, "1.00004", "100.019")), expect("100.01", "1.00002"));
        assert_eq!(quantised(&limit(Side::Sell, "1.00004", "100.011")), expect("100.02", "1.00002"));
        assert_eq!(quantised(&limit(Side::Sell, "3.00000000", "100.0")), expect("100", "3"));
    }

    #[test]
    fn names_the_limit_the_value_and_what_would_be_right() {
        let cases = [
            (limit(Side::Buy, "0.0001", "60000"), "below min_amount 0.0001 BTC; use at least 0.00012"),
            (limit(Side::Buy, "0.00002", "60000"), "below min_amount"),
            (limit(Side::Buy, "9001", "60000"), "above max_amount 9000 BTC; use at most 9000"),
            (limit(Side::Buy, "9", "0.009"), "is below price_step 0.01 USDT"),
            (limit(Side::Sell, "9", "1000000.001"), "rounded to 1000000.01, is above max_price 1000000 USDT"),
            (
                limit(Side::Buy, "0.00012", "10000"),
                "= 1.2 is below min_notional 5 USDT; use an amount of at least 0.00051",
            ),
        ];
        for (order, text) in cases {
            let error = quantise(&rule(), &order, None).unwrap_err();
            assert_eq!((error.cause, error.effect), (Cause::TradingRule, Effect::NotSent));
            assert!(error.message.contains(text), "{error}");
        }
        let mut low = rule();
        low.min_price = Some(number("50"));
        let error = quantise(&low, &limit(Side::Buy, "9", "49.99"), None).unwrap_err();
        assert!(error.message.contains("price 49.99 is below min_price 50 USDT; use at least 50"), "{error}");
    }

    #[test]
    fn refuses_what_makes_no_sense() {
        let mut no_price = limit(Side::Buy, "1", "1");
        no_price.price = None;
        let other = NewOrder { pair: "ETH-USDT".parse().unwrap(), ..limit(Side::Buy, "1", "1") };
        let maker = NewOrder { order_type: OrderType::LimitMaker, ..limit(Side::Buy, "1", "100") };
        let cases = [
            limit(Side::Buy, "0", "1"),
            limit(Side::Buy, "-1", "1"),
            limit(Side::Buy, "1", "0"),
            limit(Side::Sell, "1", "-1"),
            no_price,
            other,
            maker.time_in_force(TimeInForce::Ioc),
            limit(Side::Buy, "79228162514264337593543950335", "1"),
        ];
        for order in cases {
            let error = quantise(
                &TradingRule { amount_step: Some(number("0.000000000000000001")), ..rule() },
                &order,
                None,
            );
            let error = error.unwrap_err();
            assert_eq!((error.cause, error.effect), (Cause::Usage, Effect::NotSent), "{order:?} {error}");
        }
        let closed = TradingRule { tradable: false, ..rule() };
        let error = quantise(&closed, &limit(Side::Buy, "1", "100"), None).unwrap_err();
        assert_eq!((error.cause, error.effect), (Cause::Market, Effect::NotSent));
    }

    #[test]
    fn market_orders_are_judged_by_the_reference_price() {
        let order = NewOrder::market("BTC-USDT".parse().unwrap(), Side::Buy, number("0.00013"));
        let expected = Quantised { price: None, amount: number("0.00012") };
        assert_eq!(quantise(&rule(), &order, None), Ok(expected));
        assert_eq!(quantise(&rule(), &order, Some(number("60000"))), Ok(expected));
        let error = quantise(&rule(), &order, Some(number("100"))).unwrap_err();
        assert!(error.message.contains("min_notional"), "{error}");
    }

    fn step() -> impl Strategy<Value = Option<Decimal>> {
        prop_oneof![
            Just(None),
            (1_i64..1000, 0_u32..12).prop_map(|(units, scale)| Some(Decimal::new(units, scale)))
        ]
    }

    proptest! {
        #[test]
        fn is_idempotent_never_grows_and_stays_passive(
            amount in (1_i64..1_000_000_000_000, 0_u32..18),
            price in (1_i64..1_000_000_000_000, 0_u32..18),
            (amount_step, price_step) in (step(), step()),
            buy in any::<bool>(),
        ) {
            let side = if buy { Side::Buy } else { Side::Sell };
            let (amount, price) = (Decimal::new(amount.0, amount.1), Decimal::new(price.0, price.1));
            let rule = TradingRule {
                min_amount: None, max_amount: None, min_price: None, max_price: None, min_notional: None,
                amount_step, price_step, ..rule()
            };
            let order = NewOrder::limit(rule.pair.clone(), side, amount, price);
            let Ok(once) = quantise(&rule, &order, None) else {
                let too_small = amount_step.is_some_and(|step| amount < step) || price_step.is_some_and(|step| price < step);
                prop_assert!(too_small);
                return Ok(());
            };
            let rounded = once.price.unwrap();
            prop_assert!(once.amount <= amount && once.amount > Decimal::ZERO);
            if let Some(step) = amount_step {
                prop_assert!(amount - once.amount < step && (once.amount % step).is_zero());
            }
            let passive = if buy { rounded <= price } else { rounded >= price };
            prop_assert!(passive);
            if let Some(step) = price_step {
                prop_assert!((price - rounded).abs() < step && (rounded % step).is_zero());
            }
            let again = NewOrder { amount: once.amount, price: once.price, ..order };
            prop_assert_eq!(quantise(&rule, &again, None), Ok(once));
        }
    }
}
