//! The invariants, against the venue's ledger: those that hold at every moment, those after a recovery, those in the end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use connector_core::dialect::{Dialect, Kind};
use connector_core::engine::{FeedState, Trading};
use connector_core::journal::{Durability, Filter, History as _, OrderRow, Status, TradeRow};
use connector_core::order::OrderState;
use connector_core::position::PositionSide;
use connector_core::{ClientOrderId, Decimal, Pair, TradeId};
use connector_venue::ledger::HistoryQuery;
use connector_venue::orders::{Execution, Order};

use super::tale::Wrong;
use super::world::World;

/// How long a silent channel may claim to be live. Longer than a closure of the limits without a time, after which the engine
/// asks the venue whether it has missed anything.
const DETECT: Duration = Duration::from_secs(120);
/// Levels of a book that are compared.
const DEPTH: usize = 20;
/// Every so many looks the ledger is gone through.
const THOROUGH: u64 = 5;
/// Digits to which entry prices are compared: venues tell averages rounded.
const ENTRY_DIGITS: u32 = 3;
/// Most connections of one machine.
const MOST_CONNECTIONS: usize = 8;
/// Most requests of one machine under way.
const MOST_REQUESTS: usize = 1_000;

/// How far a state is on an order's way. A cancel that was refused takes an order back to where it was, so that the wish is no
/// stage.
const fn stage(state: OrderState) -> u8 {
    match state {
        OrderState::PendingCreate | OrderState::Unknown => 0,
        OrderState::Open | OrderState::PendingCancel => 1,
        OrderState::PartiallyFilled => 2,
        _ => 4,
    }
}

impl<D: Dialect> World<'_, D> {
    /// What must hold at every moment.
    pub(super) fn look(&mut self) {
        self.looks += 1;
        for place in 0..self.actors.len() {
            if let Err(wrong) = self.look_at(place) {
                self.wrong(wrong);
            }
        }
        let violations = self.memory.venue().exchange().limits().violations();
        if violations > 0 {
            self.wrong(("I-09", format!("the venue counted {violations} violations")));
        }
    }

    fn look_at(&mut self, place: usize) -> Result<(), Wrong> {
        let Some(actor) = self.actors.get(place) else { return Ok(()) };
        let (id, user_live, awake) = (actor.id, actor.user_live, actor.away_until);
        let (clock, now) = (self.memory.now(), self.memory.now().mono);
        if let Some(found) = self.memory.machine_mut(id).and_then(|subject| subject.found(clock, awake)) {
            return Err(found);
        }
        for (pair, symbol) in self.symbols.clone() {
            self.look_at_book(place, &pair, &symbol)?;
        }
        let Some(engine) = self.engine(place) else { return Ok(()) };
        let stages: Vec<(ClientOrderId, u8)> = engine
            .open_orders()
            .iter()
            .map(|order| (order.client_order_id().clone(), stage(order.state())))
            .collect();
        for (asset, balance) in engine.balances() {
            // Where balances are not pushed, what can be spent is reckoned ahead of what is known to be held.
            let ahead = D::SPEC.balance_push && balance.available > balance.total;
            if balance.available < Decimal::ZERO || ahead {
                return Err(("I-11", format!("{asset}: {balance:?}")));
            }
        }
        let unrecorded = engine.unrecorded();
        let (connections, requests) = self.memory.open_ends(id);
        if connections > MOST_CONNECTIONS || requests > MOST_REQUESTS || unrecorded > 10_000 {
            let text =
                format!("{connections} connections, {requests} requests, {unrecorded} records under way");
            return Err(("I-15", text));
        }
        if let Some(actor) = self.actors.get_mut(place) {
            for (id, stage) in stages {
                actor.tale.seen(&id, stage)?;
            }
        }
        let live_for = user_live.map(|since| now.since(since.max(awake))).unwrap_or_default();
        if self.looks.is_multiple_of(THOROUGH) && live_for > DETECT {
            let long_ago = self.memory.venue().exchange().now().offset(-nanos(DETECT));
            let missing = self.untold(place, |fill| fill.time < long_ago);
            if let Some(fill) = missing {
                let text = format!("the private stream claims to be live, and does not tell of {fill}");
                return Err(("I-08", text));
            }
        }
        Ok(())
    }

    /// I-07 where both books stand at the same id; I-08 where ours does not move though the venue's does.
    fn look_at_book(&mut self, place: usize, pair: &Pair, symbol: &str) -> Result<(), Wrong> {
        let now = self.memory.now().mono;
        let ours = self.engine(place).and_then(|engine| engine.book(pair, DEPTH));
        let theirs = self.memory.venue().exchange().depth(symbol, DEPTH);
        let Some(actor) = self.actors.get_mut(place) else { return Ok(()) };
        let (Some(ours), Some(theirs)) = (ours.filter(|book| book.state == FeedState::Live), theirs) else {
            actor.behind.remove(pair);
            return Ok(());
        };
        if let (Some(bid), Some(ask)) = (ours.bids.first(), ours.asks.first())
            && bid.price >= ask.price
        {
            return Err(("I-07", format!("{pair} is crossed: {} to {}", bid.price, ask.price)));
        }
        let id = ours.last_id.unwrap_or_default();
        if id == theirs.last_id {
            actor.behind.remove(pair);
            if ours.bids != theirs.bids || ours.asks != theirs.asks {
                return Err(("I-07", format!("{pair} at {id}: ours {ours:?}, the venue's {theirs:?}")));
            }
            return Ok(());
        }
        if id > theirs.last_id {
            return Err(("I-07", format!("{pair} is at {id}, the venue's at {}", theirs.last_id)));
        }
        let (stands, since) = actor.behind.entry(pair.clone()).or_insert((id, now));
        if *stands != id || *since < actor.away_until {
            (*stands, *since) = (id, now);
        }
        if now.since(*since) > DETECT {
            return Err(("I-08", format!("{pair} claims to be live, and stands at {id} for {DETECT:?}")));
        }
        Ok(())
    }

    /// Reconnect is recovery: what was executed before the private link was open again has been told when it is live.
    pub(super) fn judge_recovery(&mut self, place: usize) {
        let Some(last) = self.actors.get_mut(place).and_then(|actor| actor.syncing.take()) else { return };
        // Nobody can listen before the connector is ready for the first time, and there is no hurry.
        if self.first_time(place) {
            return;
        }
        // While the venue fails to answer about orders a recovery ends in the end, and asking goes on.
        let asked_about = ["order", "fills", "open_orders"];
        let fails = self.memory.venue().faults().any(|(_, rule, _)| {
            let any = rule.matcher.link.is_none() && rule.matcher.channel.is_none();
            rule.matcher.row.as_deref().map_or(any, |row| asked_about.contains(&row))
        });
        if fails {
            return;
        }
        if let Some(fill) = self.untold(place, |fill| fill.execution_id <= last) {
            self.wrong(("I-01", format!("live again after a gap, and nothing was told of {fill}")));
        }
    }

    /// Whether the private link of this life is live for the first time.
    fn first_time(&mut self, place: usize) -> bool {
        self.actors.get_mut(place).is_some_and(|actor| !std::mem::replace(&mut actor.was_live, true))
    }

    /// A fill of an order that this life knows, which was not told.
    fn untold(&self, place: usize, which: impl Fn(&Execution) -> bool) -> Option<String> {
        let actor = self.actors.get(place)?;
        let engine = self.engine(place)?;
        let fills = self.memory.venue().exchange().fills(self.account, &HistoryQuery::default());
        let missing = fills.into_iter().filter(|fill| which(fill)).find(|fill| {
            let id = ClientOrderId::new(&fill.client_id);
            // What became of an order of unknown outcome only time can prove.
            let unsure = [OrderState::PendingCreate, OrderState::Unknown];
            let placed = engine.order(&id).is_some_and(|order| !unsure.contains(&order.state()));
            placed
                && actor.tale.knows(&id)
                && !actor.tale.has_fill(&id, &TradeId::new(fill.trade_id.to_string()))
        });
        missing.map(|fill| format!("fill {} of order {}", fill.trade_id, fill.client_id))
    }

    /// Open orders, outcomes and balances are the venue's.
    pub(super) fn agrees(&self) -> bool {
        let exchange = self.memory.venue().exchange();
        let balances = exchange.balances(self.account);
        let theirs: BTreeSet<&str> =
            exchange.open_orders(self.account, None).iter().map(|order| order.client_id.as_str()).collect();
        (0..self.actors.len()).all(|place| {
            let (Some(engine), Some(actor)) = (self.engine(place), self.actors.get(place)) else {
                return false;
            };
            let open = engine.open_orders();
            let settled = open.iter().all(|order| {
                matches!(order.state(), OrderState::Open | OrderState::PartiallyFilled)
                    && theirs.contains(order.client_order_id().as_str())
            });
            let known = engine.balances();
            let same = balances.iter().all(|(asset, balance)| {
                let known = known.get(asset).copied().unwrap_or_default();
                // What can be spent of a collateral moves with the mark price.
                let spendable = known.available == balance.free || D::SPEC.kind == Kind::Perpetual;
                known.total == balance.total() && spendable
            });
            let same = same && self.positions_agree(engine);
            let ours: BTreeSet<&str> = open.iter().map(|order| order.client_order_id().as_str()).collect();
            let of_ours = |id: &&&str| actor.tale.placed.contains_key(&ClientOrderId::new(**id));
            settled && same && theirs.iter().filter(of_ours).all(|id| ours.contains(id))
        })
    }

    /// I-12: sizes and entry prices of positions are the venue's.
    fn positions_agree(&self, engine: &dyn Trading) -> bool {
        let signed = |side: PositionSide, amount: Decimal| match side {
            PositionSide::Short => -amount.abs(),
            _ => amount,
        };
        let ours: BTreeMap<(Pair, bool), (Decimal, Option<Decimal>)> = engine
            .positions()
            .into_iter()
            .filter(|held| !held.amount.is_zero())
            .map(|held| {
                let amount = signed(held.side, held.amount);
                let entry = held.entry_price.map(|price| price.round_dp(ENTRY_DIGITS));
                ((held.pair, amount.is_sign_negative()), (amount, entry))
            })
            .collect();
        let pair = |symbol: &str| {
            self.symbols.iter().find(|(_, known)| known == symbol).map(|(pair, _)| pair.clone())
        };
        let theirs: BTreeMap<(Pair, bool), (Decimal, Option<Decimal>)> = self
            .memory
            .venue()
            .exchange()
            .positions(self.account, None)
            .into_iter()
            .filter(|held| !held.amount.is_zero())
            .filter_map(|held| {
                let amount = signed(held.side, held.amount);
                let entry = Some(held.entry_price.round_dp(ENTRY_DIGITS));
                Some(((pair(&held.symbol)?, amount.is_sign_negative()), (amount, entry)))
            })
            .collect();
        ours == theirs
    }

    /// What must hold in the end, by the venue's ledger and the journals.
    pub(super) fn judge(&self) -> Result<(), Wrong> {
        let exchange = self.memory.venue().exchange();
        let all = HistoryQuery::default();
        let mut orders: BTreeMap<&str, Vec<&Order>> = BTreeMap::new();
        for order in exchange.all_orders(self.account, &all) {
            orders.entry(order.client_id.as_str()).or_default().push(order);
        }
        let mut fills: BTreeMap<u64, Vec<&Execution>> = BTreeMap::new();
        for fill in exchange.fills(self.account, &all) {
            fills.entry(fill.order_id).or_default().push(fill);
        }
        for actor in &self.actors {
            let rows = actor.journal.orders(&Filter::default()).unwrap_or_default();
            let rows: BTreeMap<&ClientOrderId, &OrderRow> =
                rows.iter().map(|row| (&row.client_order_id, row)).collect();
            let mut trades: BTreeMap<ClientOrderId, Vec<TradeRow>> = BTreeMap::new();
            for trade in actor.journal.trades(&Filter::default()).unwrap_or_default() {
                trades.entry(trade.row.client_order_id.clone()).or_default().push(trade);
            }
            for (id, placed) in &actor.tale.placed {
                let at_venue = orders.get(id.as_str()).map(Vec::as_slice).unwrap_or_default();
                if at_venue.len() > 1 {
                    return Err(("I-06", format!("order {id} was accepted {} times", at_venue.len())));
                }
                let order = at_venue.first().copied();
                let Some(row) = rows.get(id) else {
                    self.judge_lost(id, placed.life < actor.tale.life, order)?;
                    continue;
                };
                let Some(told) = actor.tale.ends.get(id) else {
                    return Err(("I-03", format!("order {id}: its end was never told")));
                };
                let whole = placed.life == actor.tale.life;
                if let Some(order) = order.filter(|order| whole && order.filled != *told) {
                    let text = format!(
                        "{told} was executed at the end that was told, at the venue {}",
                        order.filled
                    );
                    return Err(("I-02", format!("order {id}: {text}")));
                }
                judge_end(id, row.status, order)?;
                let theirs =
                    order.and_then(|order| fills.get(&order.id)).map(Vec::as_slice).unwrap_or_default();
                let ours = trades.get(id).map(Vec::as_slice).unwrap_or_default();
                judge_fills(id, ours, theirs)?;
                for fill in theirs {
                    if !actor.tale.fills.contains(&(id.clone(), TradeId::new(fill.trade_id.to_string()))) {
                        return Err(("I-01", format!("order {id}: fill {} was never told", fill.trade_id)));
                    }
                }
            }
        }
        Ok(())
    }

    /// An order that the journal does not know: lost with a process that was killed, and only as far as durability allows.
    fn judge_lost(&self, id: &ClientOrderId, killed: bool, order: Option<&Order>) -> Result<(), Wrong> {
        match order {
            _ if !killed => Err(("I-17", format!("order {id}: the journal does not know it"))),
            None => Ok(()),
            Some(order) if self.plan.durability == Durability::Intent => {
                Err(("I-17", format!("order {id} was sent before its intent was stored: {:?}", order.state)))
            }
            Some(order) if order.is_live() => {
                Err(("I-05", format!("order {id} is open and nobody knows it")))
            }
            Some(_) => Ok(()),
        }
    }
}

fn judge_end(id: &ClientOrderId, status: Status, order: Option<&Order>) -> Result<(), Wrong> {
    let Some(order) = order else {
        return match status {
            Status::Failed => Ok(()),
            status => Err(("I-03", format!("order {id}: the venue never had it, yet it is {status:?}"))),
        };
    };
    if status == Status::Failed {
        return Err((
            "I-04",
            format!("order {id} was told to have failed, the venue has it as {:?}", order.state),
        ));
    }
    if order.is_live() {
        return Err(("I-05", format!("order {id} is still open at the venue")));
    }
    let expected = match order.state {
        OrderState::Filled => Status::Completed,
        OrderState::Expired => Status::Expired,
        _ => Status::Cancelled,
    };
    // A venue that has forgotten an order, or expires it while it is being cancelled, cannot say which of the two it was.
    let both = [Status::Expired, Status::Cancelled];
    if status != expected && !(both.contains(&status) && both.contains(&expected)) {
        return Err(("I-03", format!("order {id} ended as {status:?}, at the venue as {:?}", order.state)));
    }
    Ok(())
}

/// I-01 and I-02, with prices and fees.
fn judge_fills(id: &ClientOrderId, ours: &[TradeRow], theirs: &[&Execution]) -> Result<(), Wrong> {
    let told: BTreeMap<String, &TradeRow> =
        ours.iter().map(|trade| (trade.row.trade_id.to_string(), trade)).collect();
    if told.len() != ours.len() || ours.len() != theirs.len() {
        let names: Vec<&String> = told.keys().collect();
        let venue: Vec<u64> = theirs.iter().map(|fill| fill.trade_id).collect();
        return Err(("I-01", format!("order {id}: fills {names:?}, the venue's {venue:?}")));
    }
    for fill in theirs {
        let Some(trade) = told.get(&fill.trade_id.to_string()) else {
            return Err(("I-01", format!("order {id}: fill {} is missing", fill.trade_id)));
        };
        let row = &trade.row;
        if (row.price, row.amount) != (fill.price, fill.amount) {
            let text =
                format!("{} of {}, the venue's {} of {}", row.amount, row.price, fill.amount, fill.price);
            return Err(("I-02", format!("order {id}: fill {}: {text}", fill.trade_id)));
        }
        let fee = row.fee.as_ref().map(|fee| (fee.asset.clone(), fee.amount));
        if fee != Some((fill.commission_asset.clone(), fill.commission)) {
            let venue = (&fill.commission_asset, fill.commission);
            return Err((
                "I-11",
                format!("order {id}: fill {}: fee {fee:?}, the venue's {venue:?}", fill.trade_id),
            ));
        }
    }
    Ok(())
}

fn nanos(time: Duration) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}
