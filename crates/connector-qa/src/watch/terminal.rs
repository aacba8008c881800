//! The thin part that reads the connector and the keyboard and writes the terminal.

use std::io::{self, IsTerminal as _};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use connector_core::Connector;
use connector_core::dialect::Kind;
use connector_venue::server::wall_clock;
use ratatui::DefaultTerminal;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::event::{self, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::crossterm::execute;
use tokio::sync::mpsc;

use super::{Ask, Contract, Input, Key, OrderRow, Reading, Screen, draw};

/// How often the screen is drawn.
const TICK: Duration = Duration::from_millis(100);
/// Levels read per side; more than half a terminal has lines.
const DEPTH: usize = 100;
/// Keys that may wait.
const KEYS: usize = 64;

/// Set by a panic anywhere: the view must end then, even if the panic was another task's.
static PANICKED: AtomicBool = AtomicBool::new(false);

/// Whether both ends of a view are a terminal.
#[must_use]
pub fn is_terminal() -> bool {
    io::stdout().is_terminal() && io::stdin().is_terminal()
}

/// The terminal while it is ours. However it is let go of, it is as it was before; a panic restores it before its message.
struct Screened(DefaultTerminal);

impl Screened {
    fn enter() -> io::Result<Self> {
        let terminal = ratatui::try_init().inspect_err(|_| ratatui::restore())?;
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICKED.store(true, Ordering::Relaxed);
            hook(info);
        }));
        Ok(Self(terminal))
    }
}

impl Drop for Screened {
    fn drop(&mut self) {
        // There is nobody left to tell of a failure.
        let _ = ratatui::try_restore();
        let _ = execute!(io::stdout(), Show);
    }
}

/// Shows the connector until `q` is pressed or `ended` comes.
///
/// # Errors
/// The terminal cannot be read or written, or a task has panicked.
pub async fn view(
    connector: &Connector,
    mut screen: Screen,
    ended: impl Future<Output = io::Result<()>>,
) -> io::Result<()> {
    let mut events = connector.events();
    let mut terminal = Screened::enter()?;
    let mut keys = keyboard();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    let mut ended = std::pin::pin!(ended);
    loop {
        let (input, show) = tokio::select! {
            // A flood of events must not keep a key or a signal from being heard.
            biased;
            told = &mut ended => return told,
            pressed = keys.recv() => match pressed {
                Some(Pressed::Key(key)) => (Input::Key(key), true),
                Some(Pressed::Other) => (tick(connector, &screen), true),
                Some(Pressed::Failed(error)) => return Err(error),
                None => return Ok(()),
            },
            _ = ticks.tick() => (tick(connector, &screen), true),
            event = events.next() => match event {
                Some(Ok(event)) => (Input::Event(event), false),
                Some(Err(lagged)) => (Input::Lagged(lagged.0), false),
                None => return Ok(()),
            },
        };
        if matches!(input, Input::Key(_)) {
            // An order at the touch is priced by the book as it is now, not as it was drawn.
            let _ = screen.update(tick(connector, &screen));
        }
        if let Some(ask) = screen.update(input) {
            let done = match ask {
                Ask::Quit => return Ok(()),
                Ask::Place(order) => connector.place(order).map(drop),
                Ask::Cancel(id) => connector.cancel(&id),
                Ask::CancelAll => {
                    connector.cancel_all();
                    Ok(())
                }
            };
            if let Err(error) = done {
                let _ = screen.update(Input::Refused(error));
            }
            // What was asked for shows at once.
            let _ = screen.update(tick(connector, &screen));
        }
        if PANICKED.load(Ordering::Relaxed) {
            return Err(io::Error::other("a task of the connector has panicked"));
        }
        if show {
            terminal.0.draw(|frame| draw(&screen, frame))?;
        }
    }
}

fn tick(connector: &Connector, screen: &Screen) -> Input {
    let pair = &screen.pair;
    Input::Tick(Box::new(Reading {
        time: wall_clock(),
        ready: connector.is_ready(),
        book: connector.order_book(pair, DEPTH),
        best: connector.best_price(pair),
        last: connector.last_price(pair),
        rule: connector.trading_rule(pair),
        open: connector.open_orders().iter().map(OrderRow::from).collect(),
        balances: connector.balances(),
        limits: connector.limits(),
        contract: (connector.spec().kind == Kind::Perpetual).then(|| Contract {
            positions: connector.positions(),
            funding: connector.funding(pair),
            margin: connector.margin(pair),
        }),
    }))
}

enum Pressed {
    Key(Key),
    /// A resize, or anything else that calls for drawing.
    Other,
    Failed(io::Error),
}

/// Reads the keyboard on a thread of its own, because reading a terminal blocks; it ends with its reader, at the latest at the
/// next glance.
fn keyboard() -> mpsc::Receiver<Pressed> {
    let (sender, receiver) = mpsc::channel(KEYS);
    std::thread::spawn(move || {
        while !sender.is_closed() {
            let pressed = match event::poll(TICK).and_then(|ready| ready.then(event::read).transpose()) {
                Ok(None) => continue,
                Ok(Some(event::Event::Key(pressed))) => match meaning(pressed) {
                    Some(key) => Pressed::Key(key),
                    None => continue,
                },
                Ok(Some(_)) => Pressed::Other,
                Err(error) => Pressed::Failed(error),
            };
            let failed = matches!(pressed, Pressed::Failed(_));
            if sender.blocking_send(pressed).is_err() || failed {
                break;
            }
        }
    });
    receiver
}

fn meaning(pressed: KeyEvent) -> Option<Key> {
    if pressed.kind == KeyEventKind::Release {
        return None;
    }
    let control = pressed.modifiers.contains(KeyModifiers::CONTROL);
    Some(match pressed.code {
        // A raw terminal makes no signal of it.
        KeyCode::Char('c') if control => Key::Quit,
        _ if control => return None,
        KeyCode::Char('q') | KeyCode::Esc => Key::Quit,
        KeyCode::Char('b') => Key::Buy,
        KeyCode::Char('s') => Key::Sell,
        KeyCode::Char('m') => Key::Market,
        KeyCode::Char('c') => Key::Cancel,
        KeyCode::Char('C') => Key::CancelAll,
        KeyCode::Char('+' | '=') => Key::More,
        KeyCode::Char('-' | '_') => Key::Less,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_mean_what_the_last_line_says() {
        let plain = |c| meaning(KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE));
        assert_eq!(plain('b'), Some(Key::Buy));
        assert_eq!(plain('c'), Some(Key::Cancel));
        assert_eq!(plain('C'), Some(Key::CancelAll));
        assert_eq!(plain('x'), None);
        assert_eq!(meaning(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Some(Key::Quit));
        let released = KeyEvent::new_with_kind(KeyCode::Char('b'), KeyModifiers::NONE, KeyEventKind::Release);
        assert_eq!(meaning(released), None);
    }
}
