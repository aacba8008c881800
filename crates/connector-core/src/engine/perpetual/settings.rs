//! Settings of the account: leverage, margin mode and position mode, made one after another.

use std::collections::VecDeque;
use std::sync::Arc;

use rust_decimal::Decimal;

use super::super::requests::Job;
use super::super::{Engine, Phase, unknown_pair};
use super::refuse;
use crate::dialect::Dialect;
use crate::error::{Cause, Effect, Error};
use crate::event::{
    Event, LeverageChanged, LeverageRefused, MarginModeChanged, MarginModeRefused, PositionModeChanged,
    PositionModeRefused,
};
use crate::message::{LeverageReport, Market, Message};
use crate::pair::Pair;
use crate::position::{MarginMode, PositionMode};
use crate::time::{Mono, Now};

/// Settings that wait; more are refused.
const MAX_WAITING: usize = 10_000;
/// How often a setting is sent whose outcome is not known and that has not taken effect.
const ATTEMPTS: u32 = 3;

/// Something that is set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::engine) enum Setting {
    Leverage(Pair, Decimal),
    MarginMode(Pair, MarginMode),
    PositionMode(PositionMode),
}

impl Setting {
    pub(super) const fn pair(&self) -> Option<&Pair> {
        match self {
            Self::Leverage(pair, _) | Self::MarginMode(pair, _) => Some(pair),
            Self::PositionMode(_) => None,
        }
    }
}

/// The setting that is being made.
struct UnderWay {
    setting: Setting,
    sent: u32,
    /// Its success was told, because a stream was quicker than the answer.
    told: bool,
    /// Why its outcome is not known, and since when.
    doubt: Option<(Error, Mono)>,
}

/// Settings in the order in which they were asked for.
#[derive(Default)]
pub(in crate::engine) struct Settings {
    waiting: VecDeque<Setting>,
    under_way: Option<UnderWay>,
}

impl<D: Dialect> Engine<D> {
    /// Has something set, after what was asked for before.
    pub(in crate::engine) fn ask_setting(&mut self, now: Now, setting: Setting) -> Result<(), Error> {
        if !self.trades() {
            let text = "this needs credentials, and the connector was built without";
            return Err(Error::usage("settings", text));
        }
        if let Phase::Failed(error) = &self.phase {
            return Err(Error::usage("settings", format!("the connector has given up: {error}")));
        }
        self.check_setting(&setting)?;
        if self.perpetual.settings.waiting.len() >= MAX_WAITING {
            return Err(Error::usage("settings", "too many settings wait to be made"));
        }
        self.perpetual.settings.waiting.push_back(setting);
        self.serve_settings(now);
        Ok(())
    }

    /// Whether a setting can be made, as far as it is known here.
    fn check_setting(&self, setting: &Setting) -> Result<(), Error> {
        let (Some(rest), Some(spec)) = (Self::perpetual_rest(), D::SPEC.perpetual) else {
            return Err(Error::usage("settings", "the venue has no perpetual contracts"));
        };
        if self.phase != Phase::Running || !self.perpetual.book.known() {
            let text = "positions are not known yet: wait until the connector is ready";
            return Err(Error::usage("settings", text));
        }
        if let Some(pair) = setting.pair().filter(|pair| !self.rules.contains_key(*pair)) {
            return Err(unknown_pair(pair));
        }
        let offered = match setting {
            Setting::Leverage(pair, leverage) => return self.check_leverage(pair, *leverage),
            Setting::MarginMode(_, mode) => {
                rest.set_margin_mode.is_some() && spec.margin_modes.contains(mode) || self.is_so(setting)
            }
            Setting::PositionMode(mode) => {
                rest.set_position_mode.is_some() && spec.position_modes.contains(mode) || self.is_so(setting)
            }
        };
        if !offered {
            return Err(Error::usage(operation(setting), "the venue does not offer this mode"));
        }
        if self.is_so(setting) {
            return Ok(());
        }
        let pair = setting.pair();
        let of_pair = |order: &Pair| pair.is_none_or(|pair| pair == order);
        let open = if self.has_position(pair) {
            "a position is"
        } else if self.tracker.open_orders().any(|order| of_pair(&order.order().pair)) {
            "orders are"
        } else {
            return Ok(());
        };
        let error = refuse(Cause::Position, operation(setting), format!("not possible while {open} open"));
        Err(match pair {
            Some(pair) => error.about(pair.as_str()),
            None => error,
        })
    }

    fn check_leverage(&self, pair: &Pair, leverage: Decimal) -> Result<(), Error> {
        let refused =
            |text: String| Err(refuse(Cause::TradingRule, "set_leverage", text).about(pair.as_str()));
        if leverage < Decimal::ONE {
            return refused(format!("leverage {} is below 1", leverage.normalize()));
        }
        let brackets = self.perpetual.brackets(pair);
        let Some(most) = brackets.iter().map(|bracket| bracket.max_leverage).max() else { return Ok(()) };
        if leverage > most {
            return refused(format!("leverage {} is above {most}", leverage.normalize()));
        }
        let open = self.open_positions();
        let notional = open
            .iter()
            .filter(|position| position.pair == *pair)
            .filter_map(|position| position.amount.checked_mul(position.mark_price.or(position.entry_price)?))
            .max()
            .unwrap_or_default();
        let bracket = brackets.iter().rev().find(|bracket| bracket.floor <= notional);
        match bracket.filter(|bracket| leverage > bracket.max_leverage) {
            Some(bracket) => refused(format!(
                "leverage {} is above {}, the most for the position that is open",
                leverage.normalize(),
                bracket.max_leverage.normalize()
            )),
            None => Ok(()),
        }
    }

    /// Whether it is set so already, as far as it is known.
    fn is_so(&self, setting: &Setting) -> bool {
        match setting {
            Setting::Leverage(pair, leverage) => self.perpetual.margin(pair).leverage == Some(*leverage),
            Setting::MarginMode(pair, mode) => self.perpetual.margin(pair).margin_mode == Some(*mode),
            Setting::PositionMode(mode) => self.perpetual.mode() == Some(*mode),
        }
    }

    /// Makes the next setting, if none is under way.
    pub(in crate::engine) fn serve_settings(&mut self, now: Now) {
        while self.perpetual.settings.under_way.is_none()
            && let Some(setting) = self.perpetual.settings.waiting.pop_front()
        {
            // What was possible when it was asked for may not be any more.
            if let Err(error) = self.check_setting(&setting) {
                self.refuse_setting(now, &setting, error);
            } else if self.is_so(&setting) {
                self.tell_setting(now, &setting);
            } else {
                let under_way = UnderWay { setting: setting.clone(), sent: 1, told: false, doubt: None };
                self.perpetual.settings.under_way = Some(under_way);
                self.request(now, Job::Set(setting));
            }
        }
    }

    /// The venue has made a setting, or says that it was so.
    pub(in crate::engine) fn setting_made(&mut self, now: Now, setting: &Setting, messages: Vec<Message>) {
        let told = messages.iter().any(|message| match (message, setting) {
            (Message::Leverage(report), Setting::Leverage(..)) => report.leverage.is_some(),
            (Message::Leverage(report), Setting::MarginMode(..)) => report.margin_mode.is_some(),
            (Message::PositionMode(_), Setting::PositionMode(_)) => true,
            _ => false,
        });
        self.take_account(now, messages);
        if !told {
            self.assume(now, setting);
        }
        let under_way = self.perpetual.settings.under_way.take_if(|under_way| under_way.setting == *setting);
        let Some(under_way) = under_way else { return };
        if !self.is_so(setting) {
            let text = "the venue has set something else";
            let error = Error::new(Cause::Other, Effect::Rejected, operation(setting), text);
            self.refuse_setting(now, setting, error);
        } else if !under_way.told {
            self.tell_setting(now, setting);
        }
    }

    /// Takes a setting for made, where the venue's answer is a plain yes.
    fn assume(&mut self, now: Now, setting: &Setting) {
        match setting.clone() {
            Setting::Leverage(pair, leverage) => {
                let (market, leverage) = (Market::Pair(pair), Some(leverage));
                self.margin_told(now, &LeverageReport { market, leverage, margin_mode: None });
            }
            Setting::MarginMode(pair, mode) => {
                let (market, margin_mode) = (Market::Pair(pair), Some(mode));
                self.margin_told(now, &LeverageReport { market, leverage: None, margin_mode });
            }
            Setting::PositionMode(mode) => self.mode_told(now, mode),
        }
    }

    pub(in crate::engine) fn setting_failed(&mut self, now: Now, setting: &Setting, error: Error) {
        if error.cause == Cause::Unchanged && error.effect == Effect::Rejected {
            return self.setting_made(now, setting, Vec::new());
        }
        // A success that cannot be read may have been one.
        let doubtful = error.effect == Effect::Unknown || error.cause == Cause::Malformed;
        let read = read_back::<D>(setting).filter(|_| doubtful);
        let Some(under_way) = self.perpetual.settings.under_way.as_mut() else { return };
        if let Some(job) = read {
            under_way.doubt = Some((error, now.mono));
            self.request(now, job);
        } else {
            self.perpetual.settings.under_way = None;
            let effect = if doubtful { Effect::Unknown } else { error.effect };
            self.refuse_setting(now, setting, Error { effect, ..error });
        }
    }

    /// An answer may say what became of a setting whose outcome is not known.
    pub(in crate::engine) fn settle_doubt(&mut self, now: Now, sent: Now, job: &Job) {
        let Some(under_way) = &self.perpetual.settings.under_way else { return };
        let Some((error, since)) = under_way.doubt.clone() else { return };
        let setting = under_way.setting.clone();
        if read_back::<D>(&setting).as_ref() != Some(job) {
            return;
        }
        if self.is_so(&setting) {
            return self.setting_made(now, &setting, Vec::new());
        }
        if sent.mono < since {
            // It was asked before the outcome became unknown.
            return self.request(now, job.clone());
        }
        let Some(under_way) = self.perpetual.settings.under_way.as_mut() else { return };
        if under_way.sent < ATTEMPTS {
            // Setting it twice does no harm.
            (under_way.sent, under_way.doubt) = (under_way.sent + 1, None);
            self.request(now, Job::Set(setting));
        } else {
            self.perpetual.settings.under_way = None;
            self.refuse_setting(now, &setting, Error { effect: Effect::Unknown, ..error });
        }
    }

    /// What would tell the outcome of a setting cannot be read.
    pub(in crate::engine) fn doubt_stays(&mut self, now: Now, job: &Job) {
        let of_job = |under_way: &mut UnderWay| {
            under_way.doubt.is_some() && read_back::<D>(&under_way.setting).as_ref() == Some(job)
        };
        let Some(under_way) = self.perpetual.settings.under_way.take_if(of_job) else { return };
        if let Some((error, _)) = under_way.doubt {
            self.refuse_setting(now, &under_way.setting, Error { effect: Effect::Unknown, ..error });
        }
    }

    /// Tells that something is set.
    pub(super) fn tell_setting(&mut self, now: Now, setting: &Setting) {
        if let Some(under_way) = &mut self.perpetual.settings.under_way
            && under_way.setting == *setting
        {
            under_way.told = true;
        }
        let time = now.utc;
        self.emit(match setting.clone() {
            Setting::Leverage(pair, leverage) => {
                Event::LeverageChanged(LeverageChanged { time, pair, leverage: leverage.normalize() })
            }
            Setting::MarginMode(pair, margin_mode) => {
                Event::MarginModeChanged(MarginModeChanged { time, pair, margin_mode })
            }
            Setting::PositionMode(mode) => Event::PositionModeChanged(PositionModeChanged { time, mode }),
        });
        self.account_stirred(now);
    }

    fn refuse_setting(&mut self, now: Now, setting: &Setting, error: Error) {
        let (time, error) = (now.utc, Arc::new(error.at(D::SPEC.name)));
        tracing::warn!(venue = D::SPEC.name, %error, "not set");
        self.emit(match setting.clone() {
            Setting::Leverage(pair, leverage) => {
                Event::LeverageRefused(LeverageRefused { time, pair, leverage, error })
            }
            Setting::MarginMode(pair, margin_mode) => {
                Event::MarginModeRefused(MarginModeRefused { time, pair, margin_mode, error })
            }
            Setting::PositionMode(mode) => {
                Event::PositionModeRefused(PositionModeRefused { time, mode, error })
            }
        });
    }
}

const fn operation(setting: &Setting) -> &'static str {
    match setting {
        Setting::Leverage(..) => "set_leverage",
        Setting::MarginMode(..) => "set_margin_mode",
        Setting::PositionMode(_) => "set_position_mode",
    }
}

/// What tells whether a setting was made.
fn read_back<D: Dialect>(setting: &Setting) -> Option<Job> {
    let rest = D::REST.perpetual.as_ref()?;
    Some(match setting {
        Setting::Leverage(..) | Setting::MarginMode(..) if rest.leverage.is_some() => Job::Leverage,
        Setting::Leverage(..) | Setting::MarginMode(..) => Job::Positions,
        Setting::PositionMode(_) => {
            rest.position_mode.as_ref()?;
            Job::PositionMode
        }
    })
}
