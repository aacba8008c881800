//! For information: what a general parser takes for the same frames, to a tape and to structures that borrow.
#![allow(dead_code, reason = "what is read need not be used to take its time")]

use std::hint::black_box;

use serde::Deserialize;
use simd_json::{Buffers, Tape};

#[derive(Deserialize)]
struct Combined<T> {
    data: T,
}

#[derive(Deserialize)]
struct Depth<'a> {
    #[serde(rename = "E")]
    time: i64,
    s: &'a str,
    #[serde(rename = "U")]
    first_id: u64,
    u: u64,
    #[serde(borrow)]
    b: Vec<(&'a str, &'a str)>,
    #[serde(borrow)]
    a: Vec<(&'a str, &'a str)>,
}

#[derive(Deserialize)]
struct BestPrice<'a> {
    u: u64,
    s: &'a str,
    b: &'a str,
    #[serde(rename = "B")]
    bid_amount: &'a str,
    a: &'a str,
    #[serde(rename = "A")]
    ask_amount: &'a str,
}

#[derive(Deserialize)]
struct Trade<'a> {
    s: &'a str,
    t: i64,
    p: &'a str,
    q: &'a str,
    #[serde(rename = "T")]
    time: i64,
    m: bool,
}

#[derive(Default)]
pub(crate) struct Parser {
    buffers: Buffers,
    tape: Option<Tape<'static>>,
}

impl Parser {
    /// To a tape, whose memory is used again.
    pub(crate) fn tape(&mut self, bytes: &mut [u8]) {
        let mut tape = self.tape.take().unwrap_or_else(Tape::null).reset();
        simd_json::fill_tape(bytes, &mut self.buffers, &mut tape).unwrap();
        black_box(&tape.0);
        self.tape = Some(tape.reset());
    }

    pub(crate) fn depth(&mut self, bytes: &mut [u8]) {
        self.typed::<Depth<'_>>(bytes);
    }

    pub(crate) fn best_price(&mut self, bytes: &mut [u8]) {
        self.typed::<BestPrice<'_>>(bytes);
    }

    pub(crate) fn trade(&mut self, bytes: &mut [u8]) {
        self.typed::<Trade<'_>>(bytes);
    }

    fn typed<'b, T: Deserialize<'b>>(&mut self, bytes: &'b mut [u8]) {
        let read: Combined<T> = simd_json::serde::from_slice_with_buffers(bytes, &mut self.buffers).unwrap();
        black_box(&read);
    }
}
