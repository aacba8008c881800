//! Jobs as requests, before they are signed.

use rust_decimal::Decimal;

use super::Job;
use crate::dialect::{
    BookQuery, Dialect, Draft, Endpoint, FillsQuery, FundingInfoRest, LeverageQuery, MarginModeQuery,
    OpenOrdersQuery, PositionModeQuery, Row, SymbolQuery,
};
use crate::engine::Engine;
use crate::engine::perpetual::Setting;
use crate::error::Error;
use crate::pair::Pair;

/// Levels of a book that is read only for its update id.
const PROBE_DEPTH: u32 = 5;

impl<D: Dialect> Engine<D> {
    pub(super) fn draft(&self, job: &Job) -> Result<(&'static Row, Draft), Error> {
        let rest = D::REST;
        let symbol = |pair: &Pair| self.symbol_of(pair);
        Ok(match job {
            Job::ServerTime => match &rest.server_time {
                Some(endpoint) => write(endpoint, &()),
                None => return Err(Error::usage("server_time", "the venue has no such request")),
            },
            Job::Rules => write(&rest.rules, &()),
            Job::Book(pair) => {
                write(&rest.book, &BookQuery { symbol: symbol(pair)?, depth: self.config.book_depth })
            }
            Job::Probe(pair) => write(&rest.book, &BookQuery { symbol: symbol(pair)?, depth: PROBE_DEPTH }),
            Job::ProbeTrades(pair) => write(&rest.last_price, &SymbolQuery { symbol: symbol(pair)? }),
            Job::Balances => write(&rest.balances, &()),
            Job::Fees(pair) => match &rest.fees {
                Some(endpoint) => write(endpoint, &SymbolQuery { symbol: symbol(pair)? }),
                None => return Err(Error::usage("fees", "the venue has no such request")),
            },
            Job::Place(id) => write(&rest.place, &self.place_query(id)?),
            Job::Cancel(id) => write(&rest.cancel, &self.order_query(id)?),
            Job::Query(id) => write(&rest.order, &self.order_query(id)?),
            Job::OpenOrders(pair) => {
                let symbol = pair.as_ref().map(symbol).transpose()?;
                write(&rest.open_orders, &OpenOrdersQuery { symbol })
            }
            Job::Fills(id) => {
                let order = self.known_order(id)?;
                let (from, since) = self.fill_watermark(id);
                let exchange_order_id = order.exchange_order_id().cloned();
                let symbol = symbol(&order.order().pair)?;
                write(
                    &rest.fills,
                    &FillsQuery { symbol, exchange_order_id, from, since, limit: rest.fills_page },
                )
            }
            Job::Connect(_) | Job::Login(_) => return Err(Error::usage("request", "is not a request")),
            _ => return self.draft_more(job),
        })
    }

    /// What only some venues have: several orders at once, keys of streams, perpetual contracts.
    fn draft_more(&self, job: &Job) -> Result<(&'static Row, Draft), Error> {
        let lacks = || Error::usage("request", "the venue has no such request");
        if let Some(batch) = D::REST.batch.as_ref().filter(|_| job.each().is_some()) {
            return self.draft_batch(batch, job);
        }
        let symbol = |pair: &Pair| self.symbol_of(pair);
        let keys = D::REST.stream_key.as_ref();
        match (job, keys) {
            (Job::StreamKey, Some(keys)) => return Ok(write(&keys.create, &())),
            (Job::KeepKey, Some(keys)) => {
                return Ok(write(&keys.keep_alive, &self.key_query().ok_or_else(lacks)?));
            }
            _ => {}
        }
        let rest = Self::perpetual_rest().ok_or_else(lacks)?;
        Ok(match job {
            Job::Positions => write(&rest.positions, &()),
            Job::PositionMode => write(rest.position_mode.as_ref().ok_or_else(lacks)?, &()),
            Job::Leverage => write(rest.leverage.as_ref().ok_or_else(lacks)?, &()),
            Job::Brackets => write(rest.brackets.as_ref().ok_or_else(lacks)?, &()),
            Job::FundingInfo(pair) => match (&rest.funding_info, pair) {
                (FundingInfoRest::All(endpoint), _) => write(endpoint, &()),
                (FundingInfoRest::Each(endpoint), Some(pair)) => {
                    write(endpoint, &SymbolQuery { symbol: symbol(pair)? })
                }
                (FundingInfoRest::Each(_), None) => return Err(lacks()),
            },
            Job::FundingPayments => write(&rest.funding_payments, &self.payments_query().ok_or_else(lacks)?),
            Job::Set(Setting::Leverage(pair, leverage)) => {
                let margin_mode = self.perpetual.margin(pair).margin_mode.unwrap_or_default();
                let query = LeverageQuery { symbol: symbol(pair)?, leverage: *leverage, margin_mode };
                write(&rest.set_leverage, &query)
            }
            Job::Set(Setting::MarginMode(pair, margin_mode)) => {
                let leverage = self.perpetual.margin(pair).leverage.unwrap_or(Decimal::ONE);
                let query = MarginModeQuery { symbol: symbol(pair)?, margin_mode: *margin_mode, leverage };
                write(rest.set_margin_mode.as_ref().ok_or_else(lacks)?, &query)
            }
            Job::Set(Setting::PositionMode(mode)) => {
                let query = PositionModeQuery { mode: *mode };
                write(rest.set_position_mode.as_ref().ok_or_else(lacks)?, &query)
            }
            _ => return Err(lacks()),
        })
    }
}

pub(super) fn write<Q>(endpoint: &'static Endpoint<Q>, query: &Q) -> (&'static Row, Draft) {
    let mut draft = Draft::new(&endpoint.row);
    (endpoint.encode)(query, &mut draft);
    (&endpoint.row, draft)
}
