//! The order book: price-time priority, and nothing about money.
