//! One market's state: its book, its trades and its last day.

use std::collections::VecDeque;

use connector_core::Decimal;
use connector_core::message::Level;
use connector_core::order::Side;
use connector_core::time::UnixNanos;
use serde::Serialize;
use smol_str::SmolStr;

use crate::live_market::LiveMarket;
use crate::matching::Book;
use crate::news::{Best, PublicTrade};
use crate::setup::{MarketSetup, MarketStatus};

/// Public trades kept of a market.
const TRADES: usize = 20_000;
const MINUTE: i64 = 60_000_000_000;
const DAY_MINUTES: i64 = 24 * 60;

/// A market's last 24 hours, to the minute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Ticker {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// First price of the period; the last price if there was no trade.
    pub open: Decimal,
    /// Highest price.
    pub high: Decimal,
    /// Lowest price.
    pub low: Decimal,
    /// Last price; the reference price before the first trade.
    pub last: Decimal,
    /// Amount of the last trade.
    pub last_amount: Decimal,
    /// Base amount traded.
    pub volume: Decimal,
    /// Quote amount traded.
    pub quote_volume: Decimal,
    /// Trades.
    pub count: u64,
    /// Id of the period's first trade, if any.
    pub first_id: Option<u64>,
    /// Id of the period's last trade, if any.
    pub last_id: Option<u64>,
    /// Start of the period.
    pub since: UnixNanos,
    /// End of the period.
    pub until: UnixNanos,
}

#[derive(Clone, Debug)]
struct Minute {
    minute: i64,
    open: Decimal,
    high: Decimal,
    low: Decimal,
    volume: Decimal,
    quote_volume: Decimal,
    first_id: u64,
    last_id: u64,
}

#[derive(Clone, Debug)]
pub(super) struct Market {
    pub(super) setup: MarketSetup,
    pub(super) book: Book,
    pub(super) live: Option<LiveMarket>,
    trades: VecDeque<PublicTrade>,
    minutes: VecDeque<Minute>,
    next_trade_id: u64,
    last_price: Decimal,
    last_amount: Decimal,
    told_best: (Option<Level>, Option<Level>),
}

impl Market {
    pub(super) fn new(setup: MarketSetup, seed: u64, now: UnixNanos) -> Self {
        let live = setup.live.map(|settings| LiveMarket::new(settings, &setup, seed, now));
        Self {
            live,
            last_price: setup.reference_price,
            setup,
            book: Book::default(),
            trades: VecDeque::new(),
            minutes: VecDeque::new(),
            next_trade_id: 1,
            last_amount: Decimal::ZERO,
            told_best: (None, None),
        }
    }

    /// Begins again under a new setup; ids and history go on. The caller has ended all orders.
    pub(super) fn relist(&mut self, setup: MarketSetup, seed: u64, now: UnixNanos) {
        self.live = setup.live.map(|settings| LiveMarket::new(settings, &setup, seed, now));
        self.setup = setup;
    }

    /// When the market acts by itself next.
    pub(super) fn acts(&self) -> Option<UnixNanos> {
        let trades = self.setup.status != MarketStatus::Delisted;
        self.live.as_ref().filter(|_| trades).map(LiveMarket::next_time)
    }

    pub(super) const fn last_price(&self) -> Decimal {
        self.last_price
    }

    pub(super) const fn take_trade_id(&mut self) -> u64 {
        let id = self.next_trade_id;
        self.next_trade_id += 1;
        id
    }

    pub(super) fn record(&mut self, trade: PublicTrade) {
        let minute = trade.time.0.div_euclid(MINUTE);
        let quote = trade.price * trade.amount;
        match self.minutes.back_mut().filter(|last| last.minute == minute) {
            Some(last) => {
                last.high = last.high.max(trade.price);
                last.low = last.low.min(trade.price);
                last.volume += trade.amount;
                last.quote_volume += quote;
                last.last_id = trade.id;
            }
            None => self.minutes.push_back(Minute {
                minute,
                open: trade.price,
                high: trade.price,
                low: trade.price,
                volume: trade.amount,
                quote_volume: quote,
                first_id: trade.id,
                last_id: trade.id,
            }),
        }
        while self.minutes.front().is_some_and(|first| first.minute <= minute - DAY_MINUTES) {
            self.minutes.pop_front();
        }
        (self.last_price, self.last_amount) = (trade.price, trade.amount);
        if self.trades.len() >= TRADES {
            self.trades.pop_front();
        }
        self.trades.push_back(trade);
    }

    pub(super) fn trades(&self, limit: usize, from_id: Option<u64>) -> Vec<PublicTrade> {
        match from_id {
            Some(from) => self.trades.iter().filter(|trade| trade.id >= from).take(limit).cloned().collect(),
            None => self.trades.iter().skip(self.trades.len().saturating_sub(limit)).cloned().collect(),
        }
    }

    pub(super) fn ticker(&self, now: UnixNanos) -> Ticker {
        let oldest = now.0.div_euclid(MINUTE) - DAY_MINUTES;
        let day = || self.minutes.iter().filter(|minute| minute.minute > oldest);
        let first_id = day().next().map(|minute| minute.first_id);
        let last_id = day().next_back().map(|minute| minute.last_id);
        Ticker {
            symbol: self.setup.symbol.clone(),
            open: day().next().map_or(self.last_price, |minute| minute.open),
            high: day().map(|minute| minute.high).max().unwrap_or(self.last_price),
            low: day().map(|minute| minute.low).min().unwrap_or(self.last_price),
            last: self.last_price,
            last_amount: self.last_amount,
            volume: day().map(|minute| minute.volume).sum(),
            quote_volume: day().map(|minute| minute.quote_volume).sum(),
            count: first_id.zip(last_id).map_or(0, |(first, last)| last - first + 1),
            first_id,
            last_id,
            since: now.offset(-DAY_MINUTES * MINUTE),
            until: now,
        }
    }

    pub(super) fn best(&self) -> Best {
        Best {
            symbol: self.setup.symbol.clone(),
            id: self.book.last_id(),
            bid: self.book.best(Side::Buy),
            ask: self.book.best(Side::Sell),
        }
    }

    /// The top of the book, if it differs from what this returned last.
    pub(super) fn tell_best(&mut self) -> Option<Best> {
        let top = (self.book.best(Side::Buy), self.book.best(Side::Sell));
        (top != self.told_best).then(|| {
            self.told_best = top;
            self.best()
        })
    }
}
