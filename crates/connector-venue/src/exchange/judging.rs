//! What speaks against an order, and what it will do if nothing does.

use connector_core::Decimal;
use connector_core::order::{OrderType, Side, TimeInForce};

use super::{Exchange, Market};
use crate::ledger::MOST_DIGITS;
use crate::matching::{Incoming, Plan, Want};
use crate::orders::{AccountId, Amount, Order, Reject, Rule, SelfTrade, Submit, Which};
use crate::setup::{MarketStatus, Rules};

/// An order that will be taken: what it is and what matching will do with it.
pub(super) struct Ticket {
    pub(super) price: Option<Decimal>,
    pub(super) amount: Decimal,
    pub(super) quote_amount: Option<Decimal>,
    pub(super) time_in_force: TimeInForce,
    pub(super) self_trade: SelfTrade,
    /// The base amount it may trade, which for an order that only reduces can be less than it asks for; `None` if it is for
    /// a quote amount.
    pub(super) wanted: Option<Decimal>,
    pub(super) plan: Plan,
}

impl Exchange {
    /// Finds what speaks against an order: first its form, then the market's rules, then the market's state, then the
    /// account.
    pub(super) fn judge(&self, account: AccountId, submit: &Submit) -> Result<Ticket, Reject> {
        if !self.ledger.knows(account) {
            return Err(Reject::UnknownAccount);
        }
        let market = self.listed(&submit.symbol).ok_or(Reject::UnknownMarket)?;
        let rules = &market.setup.rules;
        let market_order = submit.order_type == OrderType::Market;
        if !rules.order_types.contains(&submit.order_type) {
            return Err(Reject::UnsupportedType);
        }
        let price = match submit.price {
            _ if market_order => None,
            Some(price) => Some(price.normalize()),
            None => return Err(Reject::PriceMissing),
        };
        let mut want = check_amount(submit, market, price)?;
        if market.setup.status != MarketStatus::Trading {
            return Err(Reject::MarketClosed);
        }
        self.check_account(account, submit, rules)?;
        let reducible = self.check_position_side(account, submit, market)?;
        let asked = want;
        if let (Some(most), Want::Base(amount)) = (reducible, want) {
            want = Want::Base(amount.min(most));
        }
        let self_trade = submit.self_trade.unwrap_or(market.setup.self_trade);
        let plan = market.book.plan(&Incoming { account, side: submit.side, limit: price, want, self_trade });
        let meets_someone = !plan.steps.is_empty() || plan.taker_expires;
        if submit.order_type == OrderType::LimitMaker && meets_someone {
            return Err(Reject::WouldTake);
        }
        let refuses = market.setup.contract.as_ref().is_some_and(|contract| contract.refuses_unfillable);
        let unfillable = submit.order_type == OrderType::Limit
            && submit.time_in_force == TimeInForce::Fok
            && !plan.complete;
        if refuses && unfillable {
            return Err(Reject::WouldNotFill);
        }
        let (amount, quote_amount) = match asked {
            Want::Base(amount) => (amount, None),
            // Not even one step can be had for the money.
            Want::Quote { .. } if plan.complete && plan.filled.is_zero() => {
                return Err(Reject::Rule(Rule::LotSize));
            }
            Want::Quote { amount, .. } => (plan.filled, Some(amount)),
        };
        if market.setup.contract.is_none() {
            let (asset, needed) = match (submit.side, price) {
                (Side::Sell, _) => (&market.setup.base, amount),
                (Side::Buy, Some(price)) => (&market.setup.quote, price * amount),
                (Side::Buy, None) => (&market.setup.quote, quote_amount.unwrap_or(plan.cost)),
            };
            if self.spendable(account, asset) < needed {
                return Err(Reject::InsufficientBalance);
            }
        } else if reducible.is_none() && !account.is_house() {
            self.check_margin(account, submit, amount, &plan)?;
        }
        let time_in_force = match submit.order_type {
            OrderType::Limit => submit.time_in_force,
            OrderType::LimitMaker | OrderType::Market => TimeInForce::Gtc,
        };
        let wanted = match want {
            Want::Base(amount) => Some(amount),
            Want::Quote { .. } => None,
        };
        Ok(Ticket { price, amount, quote_amount, time_in_force, self_trade, wanted, plan })
    }

    fn check_account(&self, account: AccountId, submit: &Submit, rules: &Rules) -> Result<(), Reject> {
        if account.is_house() {
            return Ok(());
        }
        if let Some(client) = &submit.client_id {
            let same = self.orders.find(account, &submit.symbol, &Which::Client(client.clone()));
            if same.is_some_and(Order::is_live) {
                return Err(Reject::DuplicateClientId);
            }
        }
        let open = || self.orders.live(account).filter(|order| order.symbol == submit.symbol).count();
        match rules.max_open_orders {
            Some(most) if submit.order_type != OrderType::Market && open() >= most => {
                Err(Reject::Rule(Rule::MaxOpenOrders))
            }
            _ => Ok(()),
        }
    }
}

/// Checks amount and price against the market's rules.
pub(super) fn check_amount(submit: &Submit, market: &Market, price: Option<Decimal>) -> Result<Want, Reject> {
    let rules = &market.setup.rules;
    if let Some(price) = price {
        let within = price >= rules.min_price && price <= rules.max_price;
        if !within || !is_multiple(price, rules.tick) {
            return Err(Reject::Rule(Rule::PriceFilter));
        }
        if let Some((lowest, highest)) = rules.percent_price {
            let last = market.last_price();
            if price < last * lowest || price > last * highest {
                return Err(Reject::Rule(Rule::PercentPrice));
            }
        }
    }
    match submit.amount {
        Amount::Base(amount) => {
            let amount = amount.normalize();
            let within = amount >= rules.min_amount && amount <= rules.max_amount;
            if !within || !is_multiple(amount, rules.step) {
                return Err(Reject::Rule(Rule::LotSize));
            }
            if price.is_none() && rules.market_max_amount.is_some_and(|most| amount > most) {
                return Err(Reject::Rule(Rule::MarketLotSize));
            }
            let notional = price.unwrap_or_else(|| market.last_price()) * amount;
            // What is left of a position can always be closed.
            if notional < rules.min_notional && !submit.reduce_only {
                return Err(Reject::Rule(Rule::MinNotional));
            }
            Ok(Want::Base(amount))
        }
        Amount::Quote(_) if price.is_some() => Err(Reject::UnsupportedType),
        Amount::Quote(amount) => {
            let amount = amount.normalize();
            let most = rules.market_max_amount.unwrap_or(rules.max_amount) * market.last_price();
            if amount <= Decimal::ZERO || amount.scale() > MOST_DIGITS {
                return Err(Reject::Rule(Rule::LotSize));
            }
            if amount > most {
                return Err(Reject::Rule(Rule::MarketLotSize));
            }
            if amount < rules.min_notional {
                return Err(Reject::Rule(Rule::MinNotional));
            }
            Ok(Want::Quote { amount, step: rules.step })
        }
    }
}

pub(super) fn is_multiple(value: Decimal, unit: Decimal) -> bool {
    value.checked_rem(unit).is_some_and(|rest| rest.is_zero())
}
