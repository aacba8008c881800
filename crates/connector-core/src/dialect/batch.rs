//! Requests about several orders at once, for venues that have them.

use crate::dialect::{Decoder, Endpoint, OrderQuery, PlaceQuery, Row};

/// How several orders are placed or cancelled with one request.
///
/// Each decoder emits one message for each order asked about, in the order in which they were asked for: a
/// [`Message::Order`](crate::message::Message::Order) if the venue did it, a
/// [`Message::Refusal`](crate::message::Message::Refusal) with cause and effect if it did not do this one, a
/// [`Message::Skipped`](crate::message::Message::Skipped) if its part cannot be read. What a code means is in
/// [`Spec::faults`](crate::dialect::Spec::faults); one that is not listed there has the effect
/// [`Effect::Unknown`](crate::Effect::Unknown), as no status tells more of it.
pub struct BatchRest {
    /// Creates orders, of any markets.
    pub place: Endpoint<Vec<PlaceQuery>>,
    /// Most orders of one such request.
    pub most_placed: usize,
    /// Cancels orders, all of one symbol, each with our id.
    pub cancel: Endpoint<Vec<OrderQuery>>,
    /// Most orders of one such request.
    pub most_cancelled: usize,
}

impl BatchRest {
    /// The rows of both endpoints.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        [&self.place.row, &self.cancel.row].into_iter()
    }

    /// The decoder of the row named `name`.
    #[must_use]
    pub fn decoder(&self, name: &str) -> Option<Decoder> {
        let endpoints = [(&self.place.row, self.place.decode), (&self.cancel.row, self.cancel.decode)];
        endpoints.into_iter().find(|(row, _)| row.name == name).map(|(_, decode)| decode)
    }
}
