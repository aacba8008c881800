//! Reference strategies: small but complete programs on the public interface of [`connector_core`] alone, to copy from.
//!
//! They place and cancel orders through a [`Connector`](connector_core::Connector) and learn everything from its events and
//! its memory; they work on every connector. The checklist runs them, so what they show is known to work.

mod market_making;
mod taking;

pub use market_making::{Hanging, MarketMaker, MarketMaking, Quote, Skew};
pub use taking::Taking;

use connector_core::event::OrderFilled;
use connector_core::order::Side;
use connector_core::{ClientOrderId, Decimal};

/// What a strategy did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Orders placed, oldest first.
    pub orders: Vec<ClientOrderId>,
    /// Fills of them.
    pub fills: usize,
    /// Base amount bought.
    pub bought: Decimal,
    /// Base amount sold.
    pub sold: Decimal,
    /// Quote received for what was sold minus quote paid for what was bought, fees excluded.
    pub quote: Decimal,
    /// Orders that the connector or the venue did not take.
    pub refused: usize,
}

impl Summary {
    /// Takes in a fill of one of the orders.
    fn filled(&mut self, fill: &OrderFilled) {
        self.fills += 1;
        let value = fill.price * fill.amount;
        match fill.order.side {
            Side::Buy => (self.bought, self.quote) = (self.bought + fill.amount, self.quote - value),
            Side::Sell => (self.sold, self.quote) = (self.sold + fill.amount, self.quote + value),
        }
    }
}
