//! What one instance has told so far, held against the rules of the tale: I-01 to I-04 and I-17 as the events come.

use std::collections::{BTreeMap, BTreeSet};

use connector_core::event::{Event, OrderFilled};
use connector_core::journal::{Filter, History as _, MemoryJournal};
use connector_core::{Cause, ClientOrderId, Decimal, TradeId};

/// An invariant that is broken, and how.
pub(super) type Wrong = (&'static str, String);

/// Events kept of one order, to be shown with what is wrong about it.
const KEPT: usize = 40;

/// What was told of an order in the present life of the process.
#[derive(Debug, Default)]
struct Told {
    created: bool,
    ended: bool,
    fills: BTreeSet<TradeId>,
    executed: Decimal,
    /// How far it was when last looked at.
    rank: u8,
}

/// An order somebody placed.
#[derive(Debug)]
pub(super) struct Placed {
    /// In which life of the process.
    pub(super) life: u32,
}

/// Everything told by one instance, over all its lives.
#[derive(Debug, Default)]
pub(super) struct Tale {
    pub(super) life: u32,
    pub(super) placed: BTreeMap<ClientOrderId, Placed>,
    present: BTreeMap<ClientOrderId, Told>,
    /// What the journal had when this life began.
    stored_orders: BTreeSet<ClientOrderId>,
    stored_fills: BTreeSet<(ClientOrderId, TradeId)>,
    stored_ends: BTreeSet<ClientOrderId>,
    pub(super) fills: BTreeSet<(ClientOrderId, TradeId)>,
    /// What was told to be executed at the end of each order.
    pub(super) ends: BTreeMap<ClientOrderId, Decimal>,
    events: BTreeMap<ClientOrderId, Vec<String>>,
}

impl Tale {
    /// The process was killed or has ended; its next life begins with what the journal has.
    pub(super) fn next_life(&mut self, journal: &MemoryJournal) {
        self.life += 1;
        self.present.clear();
        let all = Filter::default();
        self.stored_fills = journal
            .trades(&all)
            .unwrap_or_default()
            .into_iter()
            .map(|trade| (trade.row.client_order_id, trade.row.trade_id))
            .collect();
        let orders = journal.orders(&all).unwrap_or_default();
        let ended = orders.iter().filter(|order| order.status.is_terminal());
        self.stored_ends = ended.map(|order| order.client_order_id.clone()).collect();
        self.stored_orders = orders.into_iter().map(|order| order.client_order_id).collect();
    }

    /// Whether the present life must know of an order.
    pub(super) fn knows(&self, id: &ClientOrderId) -> bool {
        self.placed.get(id).is_some_and(|placed| placed.life == self.life) || self.stored_orders.contains(id)
    }

    /// Whether a fill was told in this life, or stored before it.
    pub(super) fn has_fill(&self, id: &ClientOrderId, trade: &TradeId) -> bool {
        self.present.get(id).is_some_and(|told| told.fills.contains(trade))
            || self.stored_fills.contains(&(id.clone(), trade.clone()))
    }

    /// The last events of an order, for people.
    pub(super) fn events_of(&self, id: &ClientOrderId) -> Vec<String> {
        self.events.get(id).cloned().unwrap_or_default()
    }

    /// Takes in one event.
    pub(super) fn hear(&mut self, event: &Event) -> Result<(), Wrong> {
        let Some(info) = event.order() else { return Ok(()) };
        let id = info.client_order_id.clone();
        let kept = self.events.entry(id.clone()).or_default();
        if kept.len() < KEPT {
            kept.push(format!("{event:?}"));
        }
        self.judge(&id, event).map_err(|(what, how)| (what, format!("order {id}: {how}")))
    }

    fn judge(&mut self, id: &ClientOrderId, event: &Event) -> Result<(), Wrong> {
        let Some(placed) = self.placed.get(id) else {
            return Err(("I-05", "it is told of, and nobody placed it".to_owned()));
        };
        let restored = placed.life < self.life;
        let told = self.present.entry(id.clone()).or_default();
        let wrong = |what, how: &str| Err((what, how.to_owned()));
        match event {
            Event::OrderCreated(_) if told.created => wrong("I-03", "created twice"),
            Event::OrderCreated(_) if told.ended => wrong("I-03", "created after its end"),
            Event::OrderCreated(_) => {
                told.created = true;
                Ok(())
            }
            Event::OrderFilled(fill) => {
                self.fills.insert((id.clone(), fill.trade_id.clone()));
                let stored = self.stored_fills.contains(&(id.clone(), fill.trade_id.clone()));
                told.fill(fill, stored, restored)
            }
            Event::OrderUnknown(_) | Event::OrderCancelRefused(_) if told.ended => {
                wrong("I-03", "told of as open after its end")
            }
            event if event.is_terminal() => {
                let executed = told.executed;
                self.ends.entry(id.clone()).or_insert(executed);
                if std::mem::replace(&mut told.ended, true) {
                    return wrong("I-03", "ended twice");
                }
                if self.stored_ends.contains(id) {
                    return wrong("I-17", "its end is told again although it was stored");
                }
                told.end(event, restored)
            }
            _ => Ok(()),
        }
    }

    /// Sees how far an order is: it never goes back. `revived` if its cancel was refused.
    pub(super) fn seen(&mut self, id: &ClientOrderId, rank: u8) -> Result<(), Wrong> {
        let told = self.present.entry(id.clone()).or_default();
        let before = std::mem::replace(&mut told.rank, rank);
        if rank < before {
            return Err(("I-03", format!("order {id} went back from stage {before} to {rank}")));
        }
        Ok(())
    }
}

impl Told {
    fn fill(&mut self, fill: &OrderFilled, stored: bool, restored: bool) -> Result<(), Wrong> {
        let wrong = |what, how: String| Err((what, how));
        if stored {
            return wrong("I-17", format!("fill {} is told again although it was stored", fill.trade_id));
        }
        if !self.fills.insert(fill.trade_id.clone()) {
            return wrong("I-01", format!("fill {} told twice", fill.trade_id));
        }
        if !self.created && !restored {
            return wrong("I-03", format!("fill {} told before the order's creation", fill.trade_id));
        }
        if fill.late != self.ended && !restored {
            return wrong(
                "I-03",
                format!("fill {} late: {}, ended: {}", fill.trade_id, fill.late, self.ended),
            );
        }
        self.executed += fill.amount;
        if self.executed != fill.executed.base && !restored {
            let (sum, told) = (self.executed, fill.executed.base);
            return wrong("I-02", format!("fills sum up to {sum}, executed is told as {told}"));
        }
        Ok(())
    }

    fn end(&self, event: &Event, restored: bool) -> Result<(), Wrong> {
        let wrong = |what, how: String| Err((what, how));
        let executed = match event {
            Event::OrderFailed(failed) => {
                if self.created || !self.fills.is_empty() {
                    return wrong("I-04", "failed after the venue had taken it".to_owned());
                }
                if failed.error.cause == Cause::Timestamp {
                    return wrong("I-10", format!("refused for its time: {}", failed.error));
                }
                return Ok(());
            }
            Event::OrderCompleted(end) => end.executed,
            Event::OrderCancelled(end) => end.executed,
            Event::OrderExpired(end) => end.executed,
            _ => return Ok(()),
        };
        if !self.created && !restored {
            return wrong("I-03", "ended without having been created".to_owned());
        }
        if executed.base != self.executed && !restored {
            let (sum, told) = (self.executed, executed.base);
            return wrong("I-02", format!("fills sum up to {sum}, executed is told as {told} at the end"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use connector_core::event::{Executed, OrderCompleted, OrderCreated, OrderFailed, OrderInfo};
    use connector_core::order::{OrderType, Side};
    use connector_core::time::UnixNanos;
    use connector_core::{Effect, Error, Pair};

    use super::*;

    const TIME: UnixNanos = UnixNanos(0);

    fn info() -> OrderInfo {
        OrderInfo {
            pair: Pair::new("A", "B").unwrap(),
            client_order_id: ClientOrderId::new("x"),
            exchange_order_id: None,
            side: Side::Buy,
            order_type: OrderType::Limit,
            price: Some(Decimal::ONE),
            amount: Decimal::TWO,
            action: None,
            leverage: None,
        }
    }

    fn created() -> Event {
        Event::OrderCreated(OrderCreated { time: TIME, order: info(), submit_time: TIME, venue_time: None })
    }

    fn fill(trade: &str, executed: i64, late: bool) -> Event {
        Event::OrderFilled(OrderFilled {
            time: TIME,
            venue_time: None,
            order: info(),
            trade_id: TradeId::new(trade),
            price: Decimal::ONE,
            amount: Decimal::ONE,
            fee: None,
            fee_estimated: false,
            maker: None,
            executed: Executed { base: executed.into(), quote: executed.into() },
            late,
        })
    }

    fn completed(executed: i64) -> Event {
        let executed = Executed { base: executed.into(), quote: executed.into() };
        Event::OrderCompleted(OrderCompleted { time: TIME, order: info(), executed })
    }

    fn failed(cause: Cause) -> Event {
        let error = Arc::new(Error::new(cause, Effect::Rejected, "place", "no"));
        Event::OrderFailed(OrderFailed { time: TIME, order: info(), error })
    }

    /// The invariant that the first wrong event breaks.
    fn verdict(events: &[Event]) -> Option<&'static str> {
        let mut tale = Tale::default();
        tale.placed.insert(ClientOrderId::new("x"), Placed { life: 0 });
        events.iter().find_map(|event| tale.hear(event).err()).map(|(what, _)| what)
    }

    #[test]
    fn what_is_legal_passes_and_what_is_not_is_named() {
        let whole = [created(), fill("1", 1, false), fill("2", 2, false), completed(2)];
        assert_eq!(verdict(&whole), None);
        assert_eq!(verdict(&[created(), completed(0), fill("1", 1, true)]), None);
        assert_eq!(verdict(&[failed(Cause::TradingRule)]), None);
        for (events, invariant) in [
            (&[created(), created()][..], "I-03"),
            (&[fill("1", 1, false)], "I-03"),
            (&[completed(0)], "I-03"),
            (&[created(), completed(0), completed(0)], "I-03"),
            (&[created(), completed(0), created()], "I-03"),
            (&[created(), completed(0), fill("1", 1, false)], "I-03"),
            (&[created(), fill("1", 1, false), fill("1", 2, false)], "I-01"),
            (&[created(), fill("1", 2, false)], "I-02"),
            (&[created(), fill("1", 1, false), completed(2)], "I-02"),
            (&[created(), failed(Cause::Network)], "I-04"),
            (&[failed(Cause::Timestamp)], "I-10"),
        ] {
            assert_eq!(verdict(events), Some(invariant), "{events:?}");
        }
        assert_eq!(Tale::default().hear(&created()).unwrap_err().0, "I-05");
    }

    #[test]
    fn no_order_goes_back() {
        let (mut tale, id) = (Tale::default(), ClientOrderId::new("x"));
        assert!(tale.seen(&id, 1).is_ok() && tale.seen(&id, 2).is_ok() && tale.seen(&id, 2).is_ok());
        assert_eq!(tale.seen(&id, 1).unwrap_err().0, "I-03");
    }
}
