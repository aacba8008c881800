//! The map between the venue's symbols and our pairs.

use std::collections::BTreeMap;

use rust_decimal::Decimal;
use rustc_hash::FxHashMap;
use smol_str::SmolStr;

use crate::message::Market;
use crate::pair::Pair;

/// The map between the venue's symbols and our pairs, one to one.
#[derive(Clone, Debug, Default)]
pub struct Symbols {
    /// Looked into for every frame, never walked through.
    by_symbol: FxHashMap<SmolStr, Market>,
    by_pair: BTreeMap<Pair, SmolStr>,
    /// Of the symbols that are not counted in the base asset.
    contract_sizes: FxHashMap<SmolStr, Decimal>,
}

impl Symbols {
    /// Maps `symbol` to `pair`. A symbol or pair that is already mapped differently keeps its first meaning, and the answer
    /// is `false`: an alias must never redirect orders.
    pub fn insert(&mut self, symbol: SmolStr, pair: Pair) -> bool {
        let known_symbol = self.by_symbol.get(&symbol).and_then(Market::pair);
        let known_pair = self.by_pair.get(&pair);
        if known_symbol.is_some() || known_pair.is_some() {
            return known_symbol == Some(&pair) && known_pair == Some(&symbol);
        }
        self.by_pair.insert(pair.clone(), symbol.clone());
        self.by_symbol.insert(symbol, Market::Pair(pair));
        true
    }

    /// The market a symbol stands for; the symbol itself where it is not mapped.
    #[must_use]
    #[inline]
    pub fn market(&self, symbol: &str) -> Market {
        self.by_symbol.get(symbol).cloned().unwrap_or_else(|| Market::Symbol(SmolStr::new(symbol)))
    }

    /// The venue's symbol of a pair.
    #[must_use]
    pub fn symbol(&self, pair: &Pair) -> Option<&SmolStr> {
        self.by_pair.get(pair)
    }

    /// Says that the venue counts `symbol` in contracts of `size` base units.
    pub fn set_contract_size(&mut self, symbol: SmolStr, size: Decimal) {
        self.contract_sizes.insert(symbol, size);
    }

    /// Base amount of one unit the venue counts `symbol` in: 1 unless it has contracts of another size.
    #[must_use]
    pub fn contract_size(&self, symbol: &str) -> Decimal {
        self.contract_sizes.get(symbol).copied().unwrap_or(Decimal::ONE)
    }

    /// All pairs, in order.
    pub fn pairs(&self) -> impl Iterator<Item = &Pair> {
        self.by_pair.keys()
    }

    /// Whether nothing is mapped.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_pair.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_meaning_stays() {
        let mut symbols = Symbols::default();
        let btc: Pair = "BTC-USDT".parse().unwrap();
        assert!(symbols.insert("BTCUSDT".into(), btc.clone()));
        assert!(symbols.insert("BTCUSDT".into(), btc.clone()));
        assert!(!symbols.insert("XBTUSDT".into(), btc.clone()));
        assert!(!symbols.insert("BTCUSDT".into(), "BTCU-SDT".parse().unwrap()));
        assert_eq!(symbols.symbol(&btc).unwrap(), "BTCUSDT");
        symbols.set_contract_size("BTCUSDT".into(), Decimal::new(1, 2));
        assert_eq!(symbols.contract_size("BTCUSDT"), Decimal::new(1, 2));
        assert_eq!(symbols.contract_size("ETHUSDT"), Decimal::ONE);
        assert_eq!(symbols.market("XBTUSDT"), Market::Symbol("XBTUSDT".into()));
    }
}
