//! How time passes: live markets act, book changes are told.

use connector_core::order::{OrderState, Side, TimeInForce};
use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal};
use smol_str::SmolStr;

use super::{Exchange, Market};
use crate::live_market::{Action, typical_notional};
use crate::news::{News, What};
use crate::orders::{AccountId, EndReason, Reject, Submit};
use crate::setup::MarketStatus;

impl Exchange {
    /// Lets time pass up to `to`: live markets live, book changes are told. A time not after now changes nothing.
    pub fn advance(&mut self, to: UnixNanos) {
        while let Some(next) = self.next_event_time().filter(|next| *next <= to) {
            let interval_ends = self.interval_end() == Some(next);
            let contracts_act = self.next_contract_time().is_some_and(|due| due <= next);
            self.now = self.now.max(next);
            if interval_ends {
                self.tell_books();
                continue;
            }
            if self.end_countdown() {
                continue;
            }
            if contracts_act {
                self.contracts_act();
                continue;
            }
            let due = |market: &&Market| market.acts() == Some(next);
            let symbol = self.markets.values().find(due).map(|market| market.setup.symbol.clone());
            if let Some(symbol) = symbol {
                self.act(&symbol);
            }
        }
        self.now = self.now.max(to);
    }

    /// When something will happen by itself next; `None` if nothing is due.
    #[must_use]
    pub fn next_event_time(&self) -> Option<UnixNanos> {
        self.markets
            .values()
            .filter_map(Market::acts)
            .chain(self.interval_end())
            .chain(self.next_contract_time())
            .chain(self.next_countdown())
            .min()
    }

    /// The end of the interval in which a book has changed.
    fn interval_end(&self) -> Option<UnixNanos> {
        // Ends of intervals are never passed without telling, so an untold change is of the present interval.
        self.markets.values().any(|market| market.book.has_changes()).then(|| {
            let length = i64::try_from(self.book_interval.as_nanos()).unwrap_or(i64::MAX);
            UnixNanos((self.now.0.div_euclid(length) + 1).saturating_mul(length))
        })
    }

    fn tell_books(&mut self) {
        let time = self.now;
        let changes: Vec<_> = self
            .markets
            .values_mut()
            .filter_map(|market| market.book.tell(&market.setup.symbol))
            .map(|change| News::Book { time, change })
            .collect();
        changes.into_iter().for_each(|news| self.tell(news));
    }

    fn act(&mut self, symbol: &SmolStr) {
        let now = self.now;
        let Some(market) = self.markets.get_mut(symbol) else { return };
        let Some(live) = &mut market.live else { return };
        let actions = live.act(&market.book, &market.setup, now);
        if market.setup.status == MarketStatus::Trading {
            self.carry_out_all(symbol, &actions);
        }
    }

    /// Fills a live market's book and takes the change as known, as if it had always been there.
    pub(super) fn open_live_market(&mut self, symbol: &SmolStr) {
        let Some(market) = self.markets.get_mut(symbol) else { return };
        let Some(live) = &mut market.live else { return };
        let actions = live.open(&market.setup);
        if market.setup.status == MarketStatus::Trading {
            self.carry_out_all(symbol, &actions);
        }
        if let Some(market) = self.markets.get_mut(symbol) {
            market.book.tell(symbol);
        }
    }

    fn carry_out_all(&mut self, symbol: &SmolStr, actions: &[Action]) {
        for action in actions {
            match *action {
                Action::Cancel(id) => {
                    let mut turn = self.turn(symbol);
                    self.end(id, OrderState::Cancelled, EndReason::Requested, What::Expired, &mut turn);
                    self.close(turn);
                }
                Action::Quote { side, price, amount } => {
                    self.house(AccountId::HOUSE_MAKER, &Submit::limit(symbol, side, price, amount));
                }
                Action::Take { side, price, amount } => {
                    let order = Submit::limit(symbol, side, price, amount);
                    self.house(AccountId::HOUSE_TAKER, &order.time_in_force(TimeInForce::Ioc));
                }
            }
        }
    }

    /// Places an order of the house, which is given money whenever it runs out: it stands for the rest of the world.
    fn house(&mut self, account: AccountId, order: &Submit) {
        if self.place(account, order) != Err(Reject::InsufficientBalance) {
            return;
        }
        let Some((asset, amount)) = self.house_money(account, order) else { return };
        if self.ledger.transfer(account, &asset, amount) {
            // A second refusal is the world's money at its end; the market then does without this order.
            let _ = self.place(account, order);
        }
    }

    fn house_money(&self, account: AccountId, order: &Submit) -> Option<(Asset, Decimal)> {
        let setup = &self.markets.get(&order.symbol)?.setup;
        let notional = typical_notional(setup, setup.live?) * Decimal::from(10_000);
        let (asset, amount) = match order.side {
            Side::Buy => (setup.quote.clone(), notional.ceil()),
            Side::Sell => (setup.base.clone(), (notional / setup.reference_price).ceil()),
        };
        // Losses on contracts may have left the house with a debt.
        let debt = -self.ledger.balance(account, &asset).free.min(Decimal::ZERO);
        Some((asset, amount + debt))
    }
}
