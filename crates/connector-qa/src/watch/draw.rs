//! What a screen looks like: a function of the screen and the terminal's size.

use connector_core::Decimal;
use connector_core::event::LinkState;
use connector_core::message::Level;
use connector_core::order::{OrderState, Side};
use connector_core::position::{Position, PositionSide};
use connector_core::throttle::PoolUsage;
use connector_core::time::{Mono, UnixNanos};
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, BorderType, Paragraph};
use rust_decimal::prelude::ToPrimitive as _;

use super::screen::{Contract, OrderRow, Screen, Weight, word};

const GOOD: Style = Style::new().fg(Color::Green);
const BAD: Style = Style::new().fg(Color::Red);
const CARE: Style = Style::new().fg(Color::Yellow);
const FAINT: Style = Style::new().fg(Color::DarkGray);
const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);

/// Draws the screen. Whatever does not fit is left out; no size is too small.
pub fn draw(screen: &Screen, frame: &mut Frame<'_>) {
    let area = frame.area();
    let tall = area.height >= 16;
    let rows = Layout::vertical([
        Constraint::Length(2),
        Constraint::Min(5),
        Constraint::Length(if tall { 2 + area.height / 8 } else { 0 }),
        Constraint::Length(if tall { 2 + area.height / 8 } else { 0 }),
        Constraint::Length(u16::from(area.height > 3)),
    ]);
    let [head, market, account, log, keys] = rows.areas(area);
    frame.render_widget(
        Paragraph::new(vec![cut(title(screen), area.width), cut(ticker(screen), area.width)]),
        head,
    );
    let columns = Layout::horizontal([
        Constraint::Fill(if area.width >= 100 { 5 } else { 4 }),
        match area.width {
            0..60 => Constraint::Length(0),
            // Price, amount and time as most pairs have them.
            60..100 => Constraint::Length(27),
            _ => Constraint::Fill(4),
        },
        Constraint::Fill(if area.width >= 60 { 4 } else { 0 }),
    ]);
    let [book, trades, health] = columns.areas(market);
    panel(frame, book, &format!("Book {}", screen.pair), |inside| ladder(screen, inside));
    panel(frame, trades, "Trades", |inside| trade_lines(screen, inside));
    let links = 2 + u16::try_from(screen.links.len()).unwrap_or(u16::MAX).min(health.height / 2);
    let halves = Layout::vertical([Constraint::Length(links), Constraint::Fill(1)]);
    let [links, limits] = halves.areas(health);
    panel(frame, links, "Health", |inside| health_lines(screen, inside));
    panel(frame, limits, "Limits", |inside| limit_lines(screen, inside));
    let held = u16::from(screen.now.contract.is_some());
    let shares = [Constraint::Fill(9 - 2 * held), Constraint::Fill(7 * held), Constraint::Fill(4 - held)];
    let [orders, positions, balances] = Layout::horizontal(shares).areas(account);
    panel(frame, orders, "Own orders", |inside| order_lines(screen, inside));
    if let Some(contract) = &screen.now.contract {
        panel(frame, positions, "Positions", |_| position_lines(screen, contract));
    }
    panel(frame, balances, "Balances", |inside| balance_lines(screen, inside));
    panel(frame, log, "Log", |_| log_lines(screen));
    frame.render_widget(Paragraph::new(cut(key_line(screen), area.width)), keys);
}

/// A line that fits: a number that has lost its last digits would be another number, so what is cut ends in a mark.
fn cut(line: Line<'_>, width: u16) -> Line<'_> {
    if line.width() <= usize::from(width) {
        return line;
    }
    let mut room = usize::from(width).saturating_sub(1);
    let mut spans = Vec::new();
    for span in line.spans {
        let part: String = span.content.chars().take(room).collect();
        room -= part.chars().count();
        spans.push(Span::styled(part, span.style));
    }
    spans.push(Span::styled("…", FAINT));
    Line::from(spans)
}

/// A frame with a title and lines inside, which may depend on how much room there is.
fn panel<'l>(frame: &mut Frame<'_>, area: Rect, name: &str, lines: impl FnOnce(Rect) -> Vec<Line<'l>>) {
    let block = Block::bordered()
        .border_type(BorderType::Rounded)
        .border_style(FAINT)
        .title(Span::styled(format!(" {name} "), STRONG));
    let inside = block.inner(area);
    let lines = lines(inside).into_iter().map(|line| cut(line, inside.width));
    frame.render_widget(block, area);
    frame.render_widget(Paragraph::new(lines.collect::<Vec<_>>()), inside);
}

fn title(screen: &Screen) -> Line<'static> {
    let (text, style) = if screen.now.ready { ("LIVE", GOOD) } else { ("NOT LIVE", BAD) };
    Line::from(vec![
        Span::styled(format!(" {} ", screen.connector), STRONG),
        Span::raw(format!("{} at {}  ", screen.pair, screen.place)),
        Span::styled(text, style.add_modifier(Modifier::BOLD)),
        Span::styled(format!("  {} UTC", clock(screen.now.time)), FAINT),
    ])
}

/// Last price with its change since the start, and the best prices as the venue announces them or, if it does not, as the
/// book has them.
fn ticker(screen: &Screen) -> Line<'static> {
    let now = &screen.now;
    let price = |value: Option<Decimal>| {
        value.map_or_else(|| "-".to_owned(), |value| fixed(value, price_scale(screen)))
    };
    let best = now.best.as_ref();
    let of_book = |side| screen.touch(side).map(|level| level.price);
    let bid = best.and_then(|best| best.bid).or_else(|| of_book(Side::Buy));
    let ask = best.and_then(|best| best.ask).or_else(|| of_book(Side::Sell));
    let mut spans = vec![Span::raw(" last "), Span::styled(price(now.last), STRONG)];
    if let (Some(last), Some(first)) = (now.last, screen.first) {
        let change =
            last.checked_sub(first).and_then(|by| by.checked_mul(Decimal::ONE_HUNDRED)?.checked_div(first));
        if let Some(change) = change.map(|change| change.round_dp(2)) {
            let (sign, style) = if change.is_sign_negative() && !change.is_zero() {
                ("▼ ", BAD)
            } else if change.is_zero() {
                ("= ", FAINT)
            } else {
                ("▲ +", GOOD)
            };
            spans.push(Span::styled(format!(" {sign}{} %", fixed(change, 2)), style));
        }
    }
    spans.push(Span::styled(format!("  bid {}", price(bid)), GOOD));
    spans.push(Span::styled(format!("  ask {}", price(ask)), BAD));
    if let (Some(bid), Some(ask)) = (bid, ask) {
        spans.push(Span::raw(format!("  spread {}", price(ask.checked_sub(bid)))));
    }
    if let Some(contract) = &now.contract {
        spans.extend(funding_spans(screen, contract));
    }
    Line::from(spans)
}

/// Mark and index price, and what is announced of the next funding: red = who is long pays.
fn funding_spans(screen: &Screen, contract: &Contract) -> Vec<Span<'static>> {
    let funding = &contract.funding;
    let scale = price_scale(screen);
    let mut spans = Vec::new();
    for (name, value) in [("mark", funding.mark_price), ("index", funding.index_price)] {
        let value = value.map_or_else(|| "-".to_owned(), |value| fixed(value.round_dp(scale), scale));
        spans.push(Span::raw(format!("  {name} {value}")));
    }
    if let Some(rate) = funding.rate {
        let style = if rate.is_sign_negative() { GOOD } else { BAD };
        let percent = rate.checked_mul(Decimal::ONE_HUNDRED).unwrap_or_default();
        spans.push(Span::raw("  funding "));
        spans.push(Span::styled(format!("{} %", fixed(percent.round_dp(4), 4)), style));
    }
    if let Some(due) = funding.next_time {
        let seconds = (due.0.saturating_sub(screen.now.time.0) / 1_000_000_000).max(0);
        spans.push(Span::styled(format!(" in {}", lasting(seconds)), FAINT));
    }
    spans
}

/// The pair's own positions first; or, if nothing is open, the leverage at which it would be.
fn position_lines(screen: &Screen, contract: &Contract) -> Vec<Line<'static>> {
    let own = |position: &&Position| position.pair == screen.pair;
    let (first, others): (Vec<_>, Vec<_>) = contract.positions.iter().partition(own);
    let mut lines: Vec<_> = first.into_iter().chain(others).map(position_line).collect();
    if lines.is_empty() {
        let leverage = contract
            .margin
            .leverage
            .map_or_else(String::new, |leverage| format!(", leverage {}", leverage.normalize()));
        lines.push(Line::styled(format!("none open{leverage}"), FAINT));
    }
    lines
}

/// What is held and what it has gained, then where it was entered and where it stands.
fn position_line(position: &Position) -> Line<'static> {
    let side = match position.side {
        PositionSide::Short => BAD,
        PositionSide::Long | PositionSide::Both => GOOD,
    };
    let number = |value: Option<Decimal>| {
        value.map_or_else(|| "-".to_owned(), |value| value.round_dp(6).normalize().to_string())
    };
    let gain = position.unrealised.map_or(("-".to_owned(), FAINT), |gain| {
        let style = if gain.is_sign_negative() { BAD } else { GOOD };
        let sign = if gain.is_sign_negative() { "" } else { "+" };
        (format!("{sign}{}", fixed(gain.round_dp(2), 2)), style)
    });
    let leverage =
        position.leverage.map_or_else(String::new, |leverage| format!(" {}×", leverage.normalize()));
    Line::from(vec![
        Span::styled(format!("{} ", position.pair), STRONG),
        Span::styled(format!("{} ", position.side), side),
        Span::raw(format!("{} ", position.amount.normalize())),
        Span::styled(gain.0, gain.1),
        Span::raw(format!(" at {} mark {}", number(position.entry_price), number(position.mark_price))),
        Span::styled(leverage, FAINT),
    ])
}

/// Asks above, best ones in the middle, bids below; as many of each as there is room for. The bar is the level's amount
/// against the largest shown.
fn ladder(screen: &Screen, inside: Rect) -> Vec<Line<'static>> {
    let Some(book) = screen.now.book.as_ref().filter(|book| !book.bids.is_empty() || !book.asks.is_empty())
    else {
        return vec![Line::styled("the book is not live", BAD)];
    };
    let rows = usize::from(inside.height.saturating_sub(1) / 2);
    let (asks, bids) = (book.asks.iter().take(rows), book.bids.iter().take(rows));
    let shown = || asks.clone().chain(bids.clone());
    let scale = amount_scale(screen);
    let largest = shown().map(|level| level.amount).max().unwrap_or_default();
    let prices = shown().map(|level| fixed(level.price, price_scale(screen)).len()).max().unwrap_or_default();
    let amounts = shown().map(|level| fixed(level.amount, scale).len()).max().unwrap_or_default();
    let room = usize::from(inside.width).saturating_sub(prices + amounts + 4);
    let line = |level: &Level, side: Side| {
        let style = colour(side);
        let own = screen.now.open.iter().any(|order| order.side == side && order.price == Some(level.price));
        let (price, amount) = (fixed(level.price, price_scale(screen)), fixed(level.amount, scale));
        Line::from(vec![
            Span::styled(if own { "►" } else { " " }, CARE),
            Span::styled(format!("{price:>prices$}"), style),
            Span::raw(format!(" {amount:>amounts$} ")),
            Span::styled(bar(level.amount, largest, room), style),
        ])
    };
    // Both halves keep their height, so that the middle stays where it is.
    let missing = rows.saturating_sub(asks.len());
    let mut lines: Vec<Line<'static>> = vec![Line::default(); missing];
    lines.extend(asks.clone().rev().map(|level| line(level, Side::Sell)));
    let id = book.last_id.map_or_else(String::new, |id| format!(" #{id}"));
    lines.push(Line::styled(format!("{}{id}", "─".repeat(prices + 1)), FAINT));
    lines.extend(bids.clone().map(|level| line(level, Side::Buy)));
    lines
}

fn trade_lines(screen: &Screen, inside: Rect) -> Vec<Line<'static>> {
    let shown = || screen.trades.iter().take(usize::from(inside.height));
    let scale = amount_scale(screen);
    let prices = shown().map(|trade| fixed(trade.price, price_scale(screen)).len()).max().unwrap_or_default();
    let amounts = shown().map(|trade| fixed(trade.amount, scale).len()).max().unwrap_or_default();
    let line = |trade: &connector_core::message::Trade| {
        let (price, amount) = (fixed(trade.price, price_scale(screen)), fixed(trade.amount, scale));
        Line::from(vec![
            Span::styled(format!("{price:>prices$}"), colour(trade.taker_side)),
            Span::raw(format!(" {amount:>amounts$} ")),
            Span::styled(clock(trade.time.unwrap_or_default()), FAINT),
        ])
    };
    shown().map(line).collect()
}

fn health_lines(screen: &Screen, inside: Rect) -> Vec<Line<'static>> {
    let line = |(name, health): (&smol_str::SmolStr, &super::screen::Health)| {
        let style = match health.state {
            LinkState::Live => GOOD,
            LinkState::Connecting | LinkState::Syncing => CARE,
            LinkState::Stale | LinkState::Down => BAD,
        };
        let for_seconds = (screen.now.time.0.saturating_sub(health.since.0) / 1_000_000_000).max(0);
        let mut spans = vec![
            Span::styled("● ", style),
            Span::raw(format!("{name} ")),
            Span::styled(word(health.state), style),
            Span::styled(format!(" {}", lasting(for_seconds)), FAINT),
        ];
        spans.extend(health.reason.as_ref().map(|reason| Span::raw(format!(" {reason}"))));
        Line::from(spans)
    };
    screen.links.iter().take(usize::from(inside.height)).map(line).collect()
}

fn limit_lines(screen: &Screen, inside: Rect) -> Vec<Line<'static>> {
    let mut limits: Vec<_> = screen.now.limits.iter().collect();
    let rows = usize::from(inside.height);
    if limits.len() > rows {
        // Without room for all, the fullest are the ones to see.
        let share = |pool: &PoolUsage| Decimal::from(pool.used).checked_div(Decimal::from(pool.limit));
        limits.sort_by_key(|pool| std::cmp::Reverse(share(pool)));
        limits.truncate(rows);
    }
    let names = limits.iter().map(|pool| pool.name.chars().count()).max().unwrap_or_default();
    let used = |pool: &PoolUsage| format!("{}/{}", pool.used, pool.limit);
    let numbers = limits.iter().map(|pool| used(pool).len()).max().unwrap_or_default();
    let room = usize::from(inside.width).saturating_sub(names + numbers + 2).min(20);
    let line = |pool: &PoolUsage| {
        let (part, whole) = (Decimal::from(pool.used), Decimal::from(pool.limit));
        let style =
            if pool.closed_until.is_some() || pool.used.saturating_mul(5) >= pool.limit.saturating_mul(4) {
                BAD
            } else if pool.used.saturating_mul(2) >= pool.limit {
                CARE
            } else {
                GOOD
            };
        let filled = bar(part, whole, room);
        let empty = "·".repeat(room.saturating_sub(filled.chars().count()));
        let closed = if pool.closed_until.unwrap_or(Mono(0)) > Mono(0) { " closed" } else { "" };
        Line::from(vec![
            Span::raw(format!("{:names$} ", pool.name)),
            Span::styled(filled, style),
            Span::styled(empty, FAINT),
            Span::raw(format!(" {:>numbers$}{closed}", used(pool))),
        ])
    };
    limits.into_iter().map(line).collect()
}

/// Open orders first, newest first, then those that have ended.
fn order_lines(screen: &Screen, inside: Rect) -> Vec<Line<'static>> {
    let shown = || screen.now.open.iter().rev().chain(&screen.closed).take(usize::from(inside.height));
    if shown().next().is_none() {
        return vec![Line::styled("none yet: b buys, s sells, m buys at market", FAINT)];
    }
    let price = |order: &OrderRow| {
        order.price.map_or_else(|| "market".to_owned(), |price| fixed(price, price_scale(screen)))
    };
    let prices = shown().map(|order| price(order).len()).max().unwrap_or_default();
    let filled = |order: &OrderRow| {
        format!("{}/{}", fixed(order.filled, amount_scale(screen)), fixed(order.amount, amount_scale(screen)))
    };
    let amounts = shown().map(|order| filled(order).len()).max().unwrap_or_default();
    let line = |order: &OrderRow| {
        let style = match order.state {
            OrderState::Filled => GOOD,
            OrderState::Failed | OrderState::Unknown => BAD,
            OrderState::Cancelled | OrderState::Expired => FAINT,
            OrderState::PendingCreate | OrderState::PendingCancel => CARE,
            _ => STRONG,
        };
        Line::from(vec![
            Span::styled(format!("{:<4} ", order.side.to_string()), colour(order.side)),
            Span::raw(format!("{:>prices$} {:>amounts$} ", price(order), filled(order))),
            Span::styled(format!("{:<16} ", order.state.to_string()), style),
            Span::styled(order.id.to_string(), FAINT),
        ])
    };
    shown().map(line).collect()
}

/// The pair's own assets first.
fn balance_lines(screen: &Screen, inside: Rect) -> Vec<Line<'static>> {
    let (base, quote) = (screen.pair.base(), screen.pair.quote());
    let own = [&base, &quote].into_iter().filter_map(|asset| screen.now.balances.get_key_value(asset));
    let others = screen
        .now
        .balances
        .iter()
        .filter(|(asset, balance)| ![&base, &quote].contains(asset) && !balance.total.is_zero());
    let shown: Vec<_> = own.chain(others).take(usize::from(inside.height)).collect();
    let names = shown.iter().map(|(asset, _)| asset.as_str().len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (asset, balance) in shown {
        let (total, available) = (balance.total.normalize(), balance.available.normalize());
        let name = Span::styled(format!("{:names$} ", asset.as_str()), STRONG);
        let amount = if available == total {
            Span::raw(total.to_string())
        } else {
            Span::styled(format!("{available} free of {total}"), CARE)
        };
        lines.push(Line::from(vec![name, amount]));
    }
    lines
}

fn log_lines(screen: &Screen) -> Vec<Line<'static>> {
    let line = |line: &super::screen::Line| {
        let style = match line.weight {
            Weight::Good => GOOD,
            Weight::Plain => Style::new(),
            Weight::Bad => BAD,
        };
        Line::from(vec![
            Span::styled(format!("{} ", clock(line.time)), FAINT),
            Span::styled(line.text.clone(), style),
        ])
    };
    screen.log.iter().map(line).collect()
}

fn key_line(screen: &Screen) -> Line<'static> {
    let price = screen.touch(Side::Buy).map(|level| level.price);
    let amount = price.and_then(|price| screen.amount(price, screen.times));
    let amount = amount.map_or_else(|| "-".to_owned(), |amount| amount.normalize().to_string());
    let keys = [("b", "buy"), ("s", "sell"), ("m", "market"), ("c", "cancel"), ("C", "all"), ("q", "quit")];
    let mut spans = vec![
        Span::styled(" +/-", STRONG),
        Span::raw(format!(" amount {amount} {} ", screen.pair.base())),
        Span::styled(format!("(×{})", screen.times), FAINT),
    ];
    for (key, what) in keys {
        spans.push(Span::styled(format!("  {key}"), STRONG));
        spans.push(Span::raw(format!(" {what}")));
    }
    Line::from(spans).alignment(Alignment::Left)
}

const fn colour(side: Side) -> Style {
    match side {
        Side::Buy => GOOD,
        Side::Sell => BAD,
    }
}

/// A bar of at most `room` cells, to an eighth of a cell; something that is not nothing shows.
fn bar(part: Decimal, whole: Decimal, room: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let most = room.saturating_mul(8);
    let share = part.checked_div(whole).and_then(|share| share.checked_mul(Decimal::from(most)));
    let least = usize::from(part > Decimal::ZERO).min(most);
    let eighths = share.and_then(|share| share.round().to_usize()).unwrap_or_default().clamp(least, most);
    format!("{}{}", "█".repeat(eighths / 8), EIGHTHS.get(eighths % 8).copied().unwrap_or_default())
}

/// With at least this many decimals, so that columns line up; never with fewer than the value has.
fn fixed(value: Decimal, decimals: u32) -> String {
    let mut value = value.normalize();
    if value.scale() < decimals {
        value.rescale(decimals);
    }
    value.to_string()
}

fn price_scale(screen: &Screen) -> u32 {
    screen.now.rule.as_ref().and_then(|rule| rule.price_step).map_or(0, |step| step.normalize().scale())
}

fn amount_scale(screen: &Screen) -> u32 {
    screen.now.rule.as_ref().and_then(|rule| rule.amount_step).map_or(0, |step| step.normalize().scale())
}

/// Time of day, UTC.
fn clock(time: UnixNanos) -> String {
    let seconds = time.0.div_euclid(1_000_000_000).rem_euclid(86_400);
    format!("{:02}:{:02}:{:02}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

fn lasting(seconds: i64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        _ => format!("{} h", seconds / 3_600),
    }
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
