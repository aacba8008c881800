//! `watch`: a connector seen live in a terminal.
//!
//! Three parts, so that all but the last can be tested without a terminal: a [`Screen`] is what is known, and changes only by
//! [`Screen::update`]; [`draw`] is what it looks like, a function of the screen alone; [`view`] reads the connector and the
//! keyboard and writes the terminal, and decides nothing.

mod draw;
mod screen;
mod terminal;

pub use draw::draw;
pub use screen::{Ask, Contract, Input, Key, OrderRow, Reading, Screen};
pub use terminal::{is_terminal, view};
