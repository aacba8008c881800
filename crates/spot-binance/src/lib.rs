//! spot-binance
