//! `replay`: a recorded raw stream through decoder, sequencing and book, checked against the venue's own best prices.

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, BufRead, Write};
use std::time::{Duration, Instant};

use connector_core::Pair;
use connector_core::book::{BookStatus, BookSync, Gap, Step};
use connector_core::dialect::{Dialect, Frame, LinkRole, Symbols};
use connector_core::message::{BestPrice, BookMessage, BookUpdate, Level, Market, Message, Sink, Trade};
use serde::Serialize;
use smol_str::SmolStr;

use crate::decode::write_event;
use crate::report::percentile;

/// Most best-price messages and judgements kept per market.
const MOST_KEPT: usize = 65_536;
/// Most decode errors told one by one.
const MOST_TOLD: u64 = 5;

/// What a replay found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Outcome {
    /// Recorded frames.
    pub frames: u64,
    /// Neutral events by kind.
    pub events: BTreeMap<&'static str, u64>,
    /// Book messages that became part of a proven book.
    pub applied: u64,
    /// Times a book message was missing or could not be used, so that the book was no longer proven.
    pub gaps: u64,
    /// Times a book became proven again.
    pub resyncs: u64,
    /// Times a book overlapped.
    pub crossed: u64,
    /// Best prices compared with the book at the same update id.
    pub bbo_compared: u64,
    /// Of these, how many differed.
    pub bbo_mismatched: u64,
    /// Lines that could not be read.
    pub decode_errors: u64,
    /// Frames through decoder, sequencing and book per second of their own time; reading and unpacking not counted.
    pub frames_per_second: u64,
    /// Median time of a frame.
    pub ns_per_frame_p50: u64,
    /// 99th percentile of the time of a frame.
    pub ns_per_frame_p99: u64,
    /// Markets seen, by pair or, where no pair is known, by symbol.
    pub markets: Vec<SmolStr>,
    /// Markets whose book is proven at the end.
    pub live: Vec<SmolStr>,
}

impl Outcome {
    /// Whether nothing contradicts the decoder or the book. A gap does not: it is in the recording, and was noticed.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.decode_errors == 0 && self.crossed == 0 && self.bbo_mismatched == 0
    }
}

/// Why a replay cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Reading the recording, or writing events, failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A snapshot that names no market came while several are recorded.
    #[error(
        "the recording holds several markets ({0}) and a snapshot that names none: choose one with --pair"
    )]
    Ambiguous(String),
    /// The pair asked for is not in the recording.
    #[error("the recording holds nothing about {wanted}, only {found}")]
    Absent {
        /// The pair asked for.
        wanted: Pair,
        /// The markets it holds.
        found: String,
    },
}

/// A replay in progress; recordings are played into it one after the other, as if they were one.
pub struct Replay {
    stage: Stage,
    symbols: Symbols,
    nanos: Vec<u64>,
    line: usize,
}

/// The part that receives what the decoder finds.
struct Stage {
    rule: connector_core::dialect::BookRule,
    only: Option<Pair>,
    /// A recording has few markets: a list is found through faster than a map is hashed.
    books: Vec<(Market, Judged)>,
    /// A snapshot that came before the first message that names a market.
    early: Option<BookUpdate>,
    /// What the recording says the next nameless message is about.
    named: Option<Market>,
    ambiguous: bool,
    outcome: Outcome,
}

/// A book and what the venue says of it.
struct Judged {
    sync: BookSync,
    was_live: bool,
    /// Last ids of the diffs that wait for a snapshot.
    waiting: Vec<u64>,
    announced: VecDeque<(u64, Best)>,
    reached: VecDeque<(u64, Best)>,
}

type Best = (Option<Level>, Option<Level>);

impl Replay {
    /// A replay of all markets, or of one.
    #[must_use]
    pub fn new<D: Dialect>(symbols: Symbols, only: Option<Pair>) -> Self {
        Self {
            stage: Stage {
                rule: D::SPEC.book,
                only,
                books: Vec::new(),
                early: None,
                named: None,
                ambiguous: false,
                outcome: Outcome::default(),
            },
            symbols,
            nanos: Vec::new(),
            line: 0,
        }
    }

    /// Plays one recording: lines of local nanoseconds, a space, the raw message. Writes each neutral event to `events`, if
    /// given.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn play<D: Dialect>(
        &mut self,
        recording: &mut dyn BufRead,
        mut events: Option<&mut dyn Write>,
    ) -> Result<(), Failure> {
        let mut line = Vec::new();
        let mut buffers = (Vec::new(), Vec::new());
        self.line = 0;
        loop {
            line.clear();
            if recording.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            self.line += 1;
            if line.trim_ascii().is_empty() {
                continue;
            }
            if line.starts_with(b"#") {
                self.remark(&line);
                continue;
            }
            self.stage.outcome.frames += 1;
            let Some(bytes) = payload(&mut line) else {
                self.refuse("the line does not begin with a time in nanoseconds and a space");
                continue;
            };
            buffers.0.clear();
            buffers.1.clear();
            let (bids, asks) = (&mut buffers.0, &mut buffers.1);
            let frame = Frame { role: LinkRole::Public, bytes, symbols: &self.symbols, bids, asks };
            let result = match &mut events {
                None => {
                    let start = Instant::now();
                    let result = D::frame(frame, &mut self.stage);
                    self.nanos.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    result
                }
                Some(out) => {
                    let mut messages: Vec<Message> = Vec::new();
                    let start = Instant::now();
                    let result = D::frame(frame, &mut messages);
                    messages.iter().for_each(|message| self.stage.take(message));
                    self.nanos.push(u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX));
                    for message in &messages {
                        write_event(message, self.line, *out)?;
                    }
                    result
                }
            };
            if let Err(error) = result {
                self.refuse(&error.to_string());
            }
            self.learn();
            if self.stage.ambiguous {
                return Err(Failure::Ambiguous(self.stage.names(|_| true).join(", ")));
            }
        }
    }

    /// Ends the replay.
    ///
    /// # Errors
    /// [`Failure::Absent`].
    pub fn finish(mut self) -> Result<Outcome, Failure> {
        for (_, judged) in &mut self.stage.books {
            judged.judge(u64::MAX, &mut self.stage.outcome);
        }
        let markets = self.stage.names(|_| true);
        let live = self.stage.names(|judged| judged.sync.status() == BookStatus::Live);
        if let Some(wanted) = self.stage.only
            && !markets.iter().any(|market| market == wanted.as_str())
        {
            let found = if markets.is_empty() { "no market".to_owned() } else { markets.join(", ") };
            return Err(Failure::Absent { wanted, found });
        }
        let total: u64 = self.nanos.iter().sum();
        let count = u128::from(self.stage.outcome.frames);
        let per_second = count * Duration::from_secs(1).as_nanos() / u128::from(total.max(1));
        self.nanos.sort_unstable();
        Ok(Outcome {
            frames_per_second: u64::try_from(per_second).unwrap_or(u64::MAX),
            ns_per_frame_p50: percentile(&self.nanos, 50),
            ns_per_frame_p99: percentile(&self.nanos, 99),
            markets,
            live,
            ..self.stage.outcome
        })
    }

    fn refuse(&mut self, why: &str) {
        self.stage.outcome.decode_errors += 1;
        if self.stage.outcome.decode_errors <= MOST_TOLD {
            tracing::error!(line = self.line, "{why}");
        }
    }

    /// A line `# market SYMBOL PAIR` says what the next message is about if it names no market itself.
    fn remark(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let words: Vec<_> = text.split_whitespace().collect();
        if let ["#", "market", symbol, pair] = words.as_slice()
            && let Ok(pair) = pair.parse::<Pair>()
        {
            self.symbols.insert(SmolStr::new(symbol), pair.clone());
            self.stage.rename(symbol, &pair);
            self.stage.named = Some(Market::Pair(pair));
        }
    }

    /// Without a symbol map, the pair asked for tells what its symbol means.
    fn learn(&mut self) {
        let Some(pair) = &self.stage.only else { return };
        if self.symbols.symbol(pair).is_some() {
            return;
        }
        let symbols = self.stage.books.iter().filter_map(|(market, _)| match market {
            Market::Symbol(symbol) if is_symbol_of(symbol, pair) => Some(symbol.clone()),
            _ => None,
        });
        if let Some(symbol) = symbols.min() {
            let pair = pair.clone();
            self.stage.rename(&symbol, &pair);
            self.symbols.insert(symbol, pair);
        }
    }
}

/// Whether a symbol is, as most venues write them, the pair's assets next to each other, whatever stands between.
fn is_symbol_of(symbol: &str, pair: &Pair) -> bool {
    let letters = symbol.chars().filter(|c| c.is_alphanumeric()).map(|c| c.to_ascii_uppercase());
    letters.eq(pair.as_str().chars().filter(|c| c.is_alphanumeric()))
}

/// An owned book message as the decoder would have handed it out.
fn borrowed(update: &BookUpdate, snapshot: bool) -> BookMessage<'_> {
    BookMessage {
        snapshot,
        market: &update.market,
        bids: &update.bids,
        asks: &update.asks,
        first_id: update.first_id,
        last_id: update.last_id,
        prev_id: update.prev_id,
        time: update.time,
    }
}

/// What follows the local time on a line.
fn payload(line: &mut [u8]) -> Option<&mut [u8]> {
    let space = line.iter().position(|byte| *byte == b' ')?;
    let (time, rest) = line.split_at_mut(space);
    if time.is_empty() || !time.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let end = rest.trim_ascii_end().len();
    rest.get_mut(1..end)
}

impl Stage {
    fn names(&self, which: impl Fn(&Judged) -> bool) -> Vec<SmolStr> {
        let books = self.books.iter().filter(|(_, judged)| which(judged));
        let name = |market: &Market| match market {
            Market::Pair(pair) => SmolStr::new(pair.as_str()),
            Market::Symbol(symbol) => symbol.clone(),
        };
        let mut names: Vec<_> = books.map(|(market, _)| name(market)).collect();
        names.sort();
        names
    }

    /// From now on the symbol is known to be the pair.
    fn rename(&mut self, symbol: &str, pair: &Pair) {
        for (market, _) in &mut self.books {
            if matches!(market, Market::Symbol(known) if known == symbol) {
                *market = Market::Pair(pair.clone());
            }
        }
    }

    fn count(&mut self, kind: &'static str) {
        *self.outcome.events.entry(kind).or_default() += 1;
    }

    /// Takes a message that was kept for showing.
    fn take(&mut self, message: &Message) {
        match message {
            Message::BookSnapshot(update) => self.book(borrowed(update, true)),
            Message::BookDiff(update) => self.book(borrowed(update, false)),
            Message::BestPrice(best) => self.best_price(best.clone()),
            Message::Trade(trade) => self.trade(trade.clone()),
            other => self.message(other.clone()),
        }
    }

    /// Whether the market is one that was asked for.
    fn wanted(&self, market: &Market) -> bool {
        match (&self.only, market) {
            (None, _) => true,
            (Some(only), Market::Pair(pair)) => only == pair,
            (Some(only), Market::Symbol(symbol)) => is_symbol_of(symbol, only),
        }
    }

    /// The market's book, and the outcome to note things in.
    fn judged(&mut self, market: &Market) -> Option<(&mut Judged, &mut Outcome)> {
        let found = self.books.iter().position(|(known, _)| known == market);
        let place = found.unwrap_or_else(|| {
            self.books.push((market.clone(), Judged::new(self.rule)));
            self.books.len() - 1
        });
        Some((&mut self.books.get_mut(place)?.1, &mut self.outcome))
    }

    fn apply(&mut self, message: &BookMessage<'_>) {
        if let Some((judged, outcome)) = self.judged(message.market) {
            judged.apply(message, outcome);
        }
    }

    /// A message that names no market is about the one the recording says, or else the only one there is.
    fn nameless(&mut self, message: &BookMessage<'_>) {
        if let Some(market) = self.named.take() {
            if self.wanted(&market) {
                self.apply(&BookMessage { market: &market, ..*message });
            }
            return;
        }
        let mut wanted = self.books.iter().map(|(market, _)| market).filter(|market| self.wanted(market));
        match (wanted.next().cloned(), wanted.next()) {
            (None, _) => self.early = Some(BookMessage::to_owned(*message)),
            (Some(market), None) => self.apply(&BookMessage { market: &market, ..*message }),
            (Some(_), Some(_)) => self.ambiguous = true,
        }
    }

    /// The first message that names a market tells what an earlier, nameless snapshot was about.
    fn name_early(&mut self, market: &Market) {
        if let Some(early) = self.early.take() {
            self.apply(&BookMessage { market, ..borrowed(&early, true) });
        }
    }
}

impl Sink for Stage {
    fn book(&mut self, message: BookMessage<'_>) {
        self.count(if message.snapshot { "book_snapshot" } else { "book_diff" });
        if matches!(message.market, Market::Symbol(symbol) if symbol.is_empty()) {
            self.nameless(&message);
        } else if self.wanted(message.market) {
            self.name_early(message.market);
            self.apply(&message);
        }
    }

    fn best_price(&mut self, message: BestPrice) {
        self.count("best_price");
        if self.wanted(&message.market) {
            self.name_early(&message.market);
            if let Some((judged, outcome)) = self.judged(&message.market) {
                judged.announce(&message, outcome);
            }
        }
    }

    fn trade(&mut self, message: Trade) {
        self.count("trade");
        if self.wanted(&message.market) {
            let _ = self.judged(&message.market);
        }
    }

    fn message(&mut self, message: Message) {
        if let Message::Skipped { error } = &message {
            self.outcome.decode_errors += 1;
            tracing::error!("{error}");
        }
        self.count(kind(&message));
    }
}

/// The `event` tag of a message's JSON form.
fn kind(message: &Message) -> &'static str {
    match message {
        Message::BookSnapshot(_) => "book_snapshot",
        Message::BookDiff(_) => "book_diff",
        Message::BestPrice(_) => "best_price",
        Message::Trade(_) => "trade",
        Message::Order(_) => "order",
        Message::Fill(_) => "fill",
        Message::Balance(_) => "balance",
        Message::TradingRule(_) => "trading_rule",
        Message::LastPrice { .. } => "last_price",
        Message::ServerTime { .. } => "server_time",
        Message::Fees(_) => "fees",
        Message::Position(_) => "position",
        Message::FundingInfo(_) => "funding_info",
        Message::FundingPayment(_) => "funding_payment",
        Message::Leverage(_) => "leverage",
        Message::LeverageBrackets(_) => "leverage_brackets",
        Message::PositionMode(_) => "position_mode",
        Message::MarginCall(_) => "margin_call",
        Message::Session(_) | Message::StreamKey(_) => "session",
        Message::Refusal(_) => "refusal",
        Message::Skipped { .. } => "skipped",
        _ => "other",
    }
}

impl Judged {
    fn new(rule: connector_core::dialect::BookRule) -> Self {
        Self {
            sync: BookSync::new(rule),
            was_live: false,
            waiting: Vec::new(),
            announced: VecDeque::new(),
            reached: VecDeque::new(),
        }
    }

    fn apply(&mut self, message: &BookMessage<'_>, outcome: &mut Outcome) {
        let live_before = self.sync.status() == BookStatus::Live;
        match self.sync.apply(message) {
            Step::Applied => {
                if message.snapshot {
                    // The diffs that waited were applied with the snapshot that they continue.
                    let from = message.last_id.unwrap_or_default();
                    outcome.applied += self.waiting.iter().map(|id| u64::from(*id > from)).sum::<u64>();
                    outcome.resyncs += u64::from(self.was_live && !live_before);
                } else {
                    outcome.applied += 1;
                }
                self.waiting.clear();
                self.was_live = true;
                if let Some(book) = self.sync.book()
                    && let Some(id) = book.last_id()
                {
                    push(&mut self.reached, (id, (book.best_bid(), book.best_ask())));
                }
            }
            Step::Buffered => self.waiting.extend(message.last_id),
            Step::Gap(gap) => {
                match gap {
                    Gap::Crossed => outcome.crossed += 1,
                    _ => outcome.gaps += 1,
                }
                self.waiting.clear();
                self.waiting.extend(message.last_id);
            }
            Step::Ignored | Step::TooOld => {}
        }
    }

    fn announce(&mut self, best: &BestPrice, outcome: &mut Outcome) {
        let Some(id) = best.id else { return };
        // Announcements come in the order of their ids: what the book reached before this one can be judged now.
        self.judge(id, outcome);
        let level = |price: Option<_>, amount: Option<_>| Some(Level { price: price?, amount: amount? });
        push(&mut self.announced, (id, (level(best.bid, best.bid_amount), level(best.ask, best.ask_amount))));
    }

    /// Compares every state the book reached before update `until` with the latest announcement at or before that state.
    fn judge(&mut self, until: u64, outcome: &mut Outcome) {
        while let Some((id, reached)) = self.reached.front().filter(|(id, _)| *id < until).copied() {
            self.reached.pop_front();
            while self.announced.get(1).is_some_and(|(next, _)| *next <= id) {
                self.announced.pop_front();
            }
            if let Some((_, announced)) = self.announced.front().filter(|(announced, _)| *announced <= id) {
                outcome.bbo_compared += 1;
                if *announced != reached {
                    outcome.bbo_mismatched += 1;
                    if outcome.bbo_mismatched <= MOST_TOLD {
                        tracing::error!(id, ?announced, book = ?reached, "best prices differ");
                    }
                }
            }
        }
    }
}

/// Appends within bounds: the oldest is dropped, and so never compared.
fn push<T>(queue: &mut VecDeque<T>, value: T) {
    if queue.len() == MOST_KEPT {
        queue.pop_front();
    }
    queue.push_back(value);
}

/// The outcome for people.
///
/// # Errors
/// Only those of writing.
pub fn write_table(outcome: &Outcome, out: &mut dyn Write) -> io::Result<()> {
    let rows = [
        ("frames", outcome.frames),
        ("decode errors", outcome.decode_errors),
        ("book messages applied", outcome.applied),
        ("gaps", outcome.gaps),
        ("resyncs", outcome.resyncs),
        ("crossed", outcome.crossed),
        ("best prices compared", outcome.bbo_compared),
        ("best prices mismatched", outcome.bbo_mismatched),
        ("frames per second", outcome.frames_per_second),
        ("ns per frame, median", outcome.ns_per_frame_p50),
        ("ns per frame, 99 %", outcome.ns_per_frame_p99),
    ];
    writeln!(out, "{:<24}{:>12}", "markets", outcome.markets.join(", "))?;
    for (name, value) in rows {
        writeln!(out, "{name:<24}{value:>12}")?;
    }
    for (kind, count) in &outcome.events {
        writeln!(out, "  {kind:<22}{count:>12}")?;
    }
    if outcome.live.len() < outcome.markets.len() {
        writeln!(out, "not proven at the end: a book needs a snapshot that its diffs continue")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_need_a_time() {
        assert_eq!(payload(&mut b"123 {\"a\": 1}\r\n".to_vec()), Some(&mut b"{\"a\": 1}".to_vec()[..]));
        for bad in [&b"{\"a\":1}\n"[..], b" {}", b"12x {}", b"123"] {
            assert_eq!(payload(&mut bad.to_vec()), None);
        }
    }

    fn stage(only: Option<&str>) -> Stage {
        Stage {
            rule: connector_core::dialect::BookRule::Sequenced,
            only: only.map(|pair| pair.parse().unwrap()),
            books: Vec::new(),
            early: None,
            named: None,
            ambiguous: false,
            outcome: Outcome::default(),
        }
    }

    fn one(price: i64, amount: i64) -> Level {
        Level { price: price.into(), amount: amount.into() }
    }

    /// A snapshot (`first` is none) or a diff with one bid and one ask.
    fn book(stage: &mut Stage, symbol: &str, ids: (Option<u64>, u64), bid: Level, ask: Level) {
        let market = Market::Symbol(symbol.into());
        stage.book(BookMessage {
            snapshot: ids.0.is_none(),
            market: &market,
            bids: &[bid],
            asks: &[ask],
            first_id: ids.0,
            last_id: Some(ids.1),
            prev_id: None,
            time: None,
        });
    }

    fn best(stage: &mut Stage, id: u64, bid: Level, ask: Level) {
        stage.best_price(BestPrice {
            market: Market::Symbol("XY".into()),
            bid: Some(bid.price),
            bid_amount: Some(bid.amount),
            ask: Some(ask.price),
            ask_amount: Some(ask.amount),
            id: Some(id),
            time: None,
        });
    }

    fn finish(stage: Stage) -> Outcome {
        let replay = Replay { stage, symbols: Symbols::default(), nanos: Vec::new(), line: 0 };
        replay.finish().unwrap()
    }

    #[test]
    fn best_prices_are_judged_at_the_update_they_belong_to() {
        let mut stage = stage(None);
        book(&mut stage, "XY", (Some(1), 3), one(10, 1), one(20, 1));
        book(&mut stage, "", (None, 2), one(9, 1), one(21, 1));
        // Announced before and after the diff arrives: only what is at or before its last id counts.
        best(&mut stage, 3, one(10, 1), one(20, 1));
        best(&mut stage, 4, one(10, 5), one(20, 1));
        book(&mut stage, "XY", (Some(4), 5), one(10, 5), one(20, 1));
        best(&mut stage, 6, one(10, 7), one(20, 1));
        book(&mut stage, "XY", (Some(6), 6), one(10, 8), one(20, 1));
        let outcome = finish(stage);
        assert_eq!((outcome.applied, outcome.gaps, outcome.crossed), (3, 0, 0));
        assert_eq!((outcome.bbo_compared, outcome.bbo_mismatched), (3, 1));
        assert!(!outcome.is_clean());
    }

    #[test]
    fn gaps_and_resyncs_are_counted_and_are_no_fault_of_ours() {
        let mut stage = stage(None);
        book(&mut stage, "XY", (Some(1), 1), one(10, 1), one(20, 1));
        book(&mut stage, "", (None, 1), one(10, 1), one(20, 1));
        book(&mut stage, "XY", (Some(2), 2), one(10, 2), one(20, 1));
        book(&mut stage, "XY", (Some(9), 9), one(10, 3), one(20, 1));
        book(&mut stage, "XY", (Some(10), 10), one(10, 4), one(20, 1));
        book(&mut stage, "", (None, 9), one(10, 3), one(20, 1));
        let outcome = finish(stage);
        assert_eq!((outcome.applied, outcome.gaps, outcome.resyncs), (2, 1, 1));
        assert!(outcome.is_clean() && outcome.live == ["XY"]);
    }

    #[test]
    fn a_crossed_book_is_told() {
        let mut stage = stage(None);
        book(&mut stage, "XY", (Some(1), 1), one(10, 1), one(20, 1));
        book(&mut stage, "", (None, 1), one(10, 1), one(20, 1));
        book(&mut stage, "XY", (Some(2), 2), one(21, 1), one(22, 1));
        let outcome = finish(stage);
        assert_eq!((outcome.crossed, outcome.gaps), (1, 0));
        assert!(!outcome.is_clean() && outcome.live.is_empty());
    }

    #[test]
    fn a_nameless_snapshot_among_several_markets_is_never_guessed() {
        let mut several = stage(None);
        book(&mut several, "XY", (Some(1), 1), one(10, 1), one(20, 1));
        book(&mut several, "ZY", (Some(1), 1), one(30, 1), one(40, 1));
        book(&mut several, "", (None, 1), one(10, 1), one(20, 1));
        assert!(several.ambiguous);
        let mut chosen = stage(Some("X-Y"));
        book(&mut chosen, "ZY", (Some(1), 1), one(30, 1), one(40, 1));
        book(&mut chosen, "XY", (Some(1), 1), one(10, 1), one(20, 1));
        book(&mut chosen, "", (None, 1), one(10, 1), one(20, 1));
        assert!(!chosen.ambiguous && chosen.books.len() == 1);
    }

    #[test]
    fn symbols_of_a_pair() {
        let pair: Pair = "BTC-USDT".parse().unwrap();
        assert!(is_symbol_of("BTCUSDT", &pair) && is_symbol_of("btc_usdt", &pair));
        assert!(!is_symbol_of("BTCUSD", &pair) && !is_symbol_of("ETHUSDT", &pair));
    }
}
