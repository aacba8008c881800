//! Deeds of faults: what is done to the venue itself rather than to a request or a frame.

use std::net::IpAddr;
use std::time::Duration;

use connector_core::Asset;
use connector_core::dialect::Scope;

use crate::face::{OutFrame, Outbox, Payload, Peer, SessionId};
use crate::faults::{Fault, Matcher};
use crate::keys::{ApiKey, KeyState};
use crate::limits::ScopeKey;
use crate::orders::{AccountId, Amount, Submit, Which};
use crate::setup::{Fees, MarketStatus};
use crate::venue::Venue;

impl Venue {
    /// Does a deed. What cannot be done (an unknown account, say) is told in the log and changes nothing.
    pub(crate) fn commit(&mut self, fault: &Fault, matcher: &Matcher) {
        match fault {
            Fault::Close { code, reason } => self.cut(matcher, &Payload::Close(*code, reason.clone())),
            Fault::Reset { .. } => self.cut(matcher, &Payload::Reset),
            Fault::HalfOpen {} => self.cut(matcher, &Payload::HalfOpen),
            Fault::CutBudget { pool, limit } => self.exchange.limits_mut().set_limit(pool, Some(*limit)),
            Fault::SpendByOther { pool, weight, whose } => self.spend(pool, *weight, whose.as_deref()),
            Fault::Ban { ms, address } => {
                let address = address.as_ref().and_then(|text| text.parse().ok());
                let key = ScopeKey::Address(address.unwrap_or(Peer::LOCAL.address));
                let length = i64::try_from(Duration::from_millis(*ms).as_nanos()).unwrap_or(i64::MAX);
                let until = self.exchange.now().offset(length);
                self.exchange.limits_mut().ban(key, until);
            }
            Fault::VenueOffset { ms } => self.set_offset(*ms),
            Fault::ExternalOrder { account, symbol, side, amount, price, client_id } => {
                let submit = match price {
                    Some(price) => Submit::limit(symbol, *side, *price, *amount),
                    None => Submit::market(symbol, *side, Amount::Base(*amount)),
                };
                let submit = Submit { client_id: client_id.clone(), ..submit };
                let account = self.account(*account);
                if let Err(reject) = self.exchange.place(account, &submit) {
                    tracing::warn!(%reject, %account, "the external order was refused");
                }
            }
            Fault::ExternalCancel { account, client_id } => {
                let account = self.account(*account);
                let open = self.exchange.open_orders(account, None).into_iter();
                let wanted = open.filter(|order| client_id.as_ref().is_none_or(|id| order.client_id == *id));
                let found: Vec<_> = wanted.map(|order| (order.symbol.clone(), order.id)).collect();
                for (symbol, id) in found {
                    // It was open a moment ago and nothing has happened since.
                    let _ = self.exchange.cancel(account, &symbol, &Which::Id(id), None);
                }
            }
            Fault::Transfer { account, asset, amount } => {
                let account = self.account(*account);
                if let Err(reject) = self.exchange.transfer(account, &Asset::new(asset), *amount) {
                    tracing::warn!(%reject, %account, "the transfer was refused");
                }
            }
            Fault::FeeTier { account, symbol, maker_ppm, taker_ppm } => {
                let account = self.account(*account);
                let fees = Fees { maker_ppm: *maker_ppm, taker_ppm: *taker_ppm };
                self.exchange.set_fees(account, symbol.as_deref(), fees);
            }
            Fault::Halt { .. } | Fault::Resume { .. } | Fault::Delist { .. } | Fault::RulesChange { .. } => {
                self.change_market(fault);
            }
            Fault::RevokeKey { key } => self.change_keys(key.as_deref(), |key| key.state = KeyState::Revoked),
            Fault::DropPermission { key } => self.change_keys(key.as_deref(), |key| key.may_trade = false),
            // The rest bends requests and frames.
            _ => {}
        }
    }

    fn change_market(&mut self, fault: &Fault) {
        let done = match fault {
            Fault::Halt { symbol } => self.exchange.set_status(symbol, MarketStatus::Halted),
            Fault::Resume { symbol } => self.exchange.set_status(symbol, MarketStatus::Trading),
            Fault::Delist { symbol } => self.exchange.set_status(symbol, MarketStatus::Delisted),
            Fault::RulesChange { symbol, tick, step, min_notional } => {
                let Some(market) = self.exchange.market(symbol) else { return };
                let mut rules = market.rules.clone();
                rules.tick = tick.unwrap_or(rules.tick);
                rules.step = step.unwrap_or(rules.step);
                rules.min_notional = min_notional.unwrap_or(rules.min_notional);
                self.exchange.change_rules(symbol, rules)
            }
            _ => Ok(()),
        };
        if let Err(reject) = done {
            tracing::warn!(%reject, ?fault, "the market could not be changed");
        }
    }

    /// The account of this number, or the first one that has a key.
    pub(crate) fn account(&self, account: Option<u32>) -> AccountId {
        let first = || self.exchange.keys().iter().map(|key| key.account).min();
        account.map(AccountId).or_else(first).unwrap_or(AccountId(0))
    }

    fn change_keys(&mut self, key: Option<&str>, change: impl Fn(&mut ApiKey)) {
        let all = self.exchange.keys().iter().map(|known| known.key.clone());
        let names: Vec<_> = all.filter(|known| key.is_none_or(|key| known == key)).collect();
        for name in names {
            if let Some(key) = self.exchange.keys_mut().get_mut(&name) {
                change(key);
            }
        }
    }

    fn spend(&mut self, pool: &str, weight: u32, whose: Option<&str>) {
        let mut pools = self.exchange.limits().pools().map(|(pool, _)| *pool);
        let Some(pool) = pools.find(|known| known.name == pool) else { return };
        drop(pools);
        let keys: Vec<ScopeKey> = match pool.scope {
            Scope::Address => {
                let address: Option<IpAddr> = whose.and_then(|text| text.parse().ok());
                vec![ScopeKey::Address(address.unwrap_or(Peer::LOCAL.address))]
            }
            Scope::Account => match whose.and_then(|text| text.parse().ok()) {
                Some(account) => vec![ScopeKey::Account(AccountId(account))],
                None => {
                    let mut accounts: Vec<_> = self.exchange.keys().iter().map(|key| key.account).collect();
                    accounts.sort_unstable();
                    accounts.dedup();
                    accounts.into_iter().map(ScopeKey::Account).collect()
                }
            },
            Scope::Connection => self.sessions.keys().map(|id| ScopeKey::Connection(id.0)).collect(),
        };
        let now = self.exchange.now();
        for key in keys {
            self.exchange.limits_mut().spend(pool.name, key, weight, now);
        }
    }

    fn cut(&mut self, matcher: &Matcher, payload: &Payload) {
        let fits = |id: &&SessionId| {
            self.sessions.get(id).is_some_and(|live| {
                let channel = matcher.channel.as_ref().is_none_or(|part| live.session.holds(part));
                channel && matcher.fits_session(&live.session)
            })
        };
        let ids: Vec<SessionId> = self.sessions.keys().filter(fits).copied().collect();
        for id in ids {
            let mut out = Outbox::default();
            out.0.push(OutFrame { payload: payload.clone(), channel: smol_str::SmolStr::default() });
            self.enqueue(id, out);
        }
    }
}
