//! Rows about funding: what is announced, and what is paid.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::dialect::{Channel, LinkRole};
use connector_core::funding::FundingState;
use connector_core::journal::{Filter, History as _};
use connector_core::order::{NewOrder, Side};
use connector_core::position::PositionMode;
use connector_core::time::UnixNanos;
use connector_core::{Asset, Decimal, Event, Pair};
use connector_venue::ledger::HistoryQuery;
use connector_venue::perpetual::IncomeKind;

use super::positions::scaled;
use super::{lots, places, plain, taking};
use crate::bench::{Evidence, Failure, Ground, Judgement, ensure};
use crate::dice::Dice;
use crate::kit::Kit;
use crate::lab::{LONG, Lab};
use crate::report::{Chart, Detail, Lane, Mark, Place, Series, Shape, Span, Timeline, Tone, Unit, human};
use crate::rows::robustness::{STALLED, fixed_part};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
/// How often prices are told in a long time.
const MARKS: Duration = Duration::from_secs(10);
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What the connector knows of a pair's next funding that is not the venue's; empty if nothing.
fn differs(lab: &Lab, ground: &Ground) -> Vec<String> {
    let ours = lab.read(|engine, _| engine.funding(&ground.pair)).unwrap_or_default();
    let Some(truth) = lab.look(|exchange| exchange.mark_price(&ground.symbol)) else {
        return vec![format!("the venue has no contract {}", ground.symbol)];
    };
    let theirs = FundingState {
        rate: Some(truth.funding_rate),
        next_time: Some(truth.next_funding),
        mark_price: Some(truth.mark_price),
        index_price: Some(truth.index_price),
    };
    if ours == theirs {
        Vec::new()
    } else {
        vec![format!("{}: known is {ours:?}, the venue has {theirs:?}", ground.pair)]
    }
}

/// Waits until all is known as the venue has it; how long that took.
fn follows(lab: &mut Lab, grounds: &[Ground], within: Duration) -> Result<Duration, Failure> {
    let start = lab.mono();
    loop {
        let wrong: Vec<_> = grounds.iter().flat_map(|ground| differs(lab, ground)).collect();
        let took = lab.mono().since(start);
        if wrong.is_empty() {
            return Ok(took);
        }
        ensure(took < within, || format!("after {}: {}", human(within), wrong.join("; ")))?;
        lab.run_for(Duration::from_millis(20));
    }
}

/// PQ-08.
///
/// # Errors
/// The price, rate or time that was not followed.
pub async fn info(kit: Kit) -> Judgement {
    const FOLLOWED: usize = 2;
    let mut lab = Lab::new(&kit, FOLLOWED, false, 0)?;
    let grounds: Vec<Ground> = lab.grounds.iter().take(FOLLOWED).cloned().collect();
    let ground = lab.ground()?;
    lab.venue(|venue, _| {
        let exchange = venue.exchange_mut();
        grounds.iter().try_for_each(|ground| {
            exchange.set_mark_price(&ground.symbol, None).map(drop).map_err(Failure::new)
        })
    })?;
    lab.ready()?;
    for ground in &grounds {
        let known = lab.read(|engine, _| engine.funding(&ground.pair)).unwrap_or_default();
        ensure(known.is_complete(), || format!("ready, and of {} is known {known:?}", ground.pair))?;
    }
    let mut dice = Dice(kit.seed);
    let mut names = ["mark price here", "index price here", "mark price at the venue"]
        .map(|name| Series::new(name, Shape::Line));
    let (mut longest, mut moves, mut index) = (Duration::ZERO, 0_u32, ground.middle);
    let begin = lab.mono();
    // Over the end of an interval.
    while lab.mono().since(begin) < HOUR * 9 {
        index = (index * Decimal::from(9_990 + dice.below(21)) / Decimal::from(10_000)).round_dp(6);
        let set = lab.venue(|venue, now| {
            let set = venue.exchange_mut().set_index_price(&ground.symbol, Some(index)).map(drop);
            venue.advance(now);
            set
        });
        set.map_err(Failure::new)?;
        longest = longest.max(follows(&mut lab, &grounds, Duration::from_secs(3))?);
        moves += 1;
        chart_prices(&lab, &ground, &mut names);
        for _ in 0..5 {
            lab.run_for(MINUTE);
            tokio::task::yield_now().await;
        }
    }
    let (rates, settlements) = announced(&lab, &ground.pair);
    ensure(settlements >= 1 && rates >= 1, || {
        format!("{rates} changes of the rate and {settlements} of the due time were told")
    })?;
    let helped = silent(&mut lab, &grounds, index)?;
    let text = format!(
        "mark price, index price, rate and due time are there when ready and followed {moves} moves within {}; {rates} changes of \
         the rate and {settlements} of the due time told; a stream that falls silent is made up for within {}",
        human(longest),
        human(helped)
    );
    let chart = Chart {
        title: format!("Mark and index price of {}", ground.pair),
        unit: Unit::Count("ticks".to_owned()),
        series: names.into(),
        limit: None,
    };
    Ok(Evidence::new(text).with(Detail::Chart(chart)))
}

fn chart_prices(lab: &Lab, ground: &Ground, series: &mut [Series; 3]) {
    let at = lab.mono().0;
    let known = lab.read(|engine, _| engine.funding(&ground.pair)).unwrap_or_default();
    let truth = lab.look(|exchange| exchange.mark_price(&ground.symbol)).map(|truth| truth.mark_price);
    for (series, price) in series.iter_mut().zip([known.mark_price, known.index_price, truth]) {
        series.push(at, scaled(price.unwrap_or_default(), ground.rules.tick));
    }
}

/// How often the rate and the due time of a pair were told as changed.
fn announced(lab: &Lab, pair: &Pair) -> (usize, usize) {
    let told: Vec<_> = lab
        .events()
        .iter()
        .filter_map(|event| match event {
            Event::FundingChanged(changed) if changed.pair == *pair => {
                Some((changed.rate, changed.next_time))
            }
            _ => None,
        })
        .collect();
    let pairs = || told.iter().zip(told.iter().skip(1));
    (pairs().filter(|(old, new)| old.0 != new.0).count(), pairs().filter(|(old, new)| old.1 != new.1).count())
}

/// The stream of funding news falls silent, and what changes is known all the same.
fn silent(lab: &mut Lab, grounds: &[Ground], index: Decimal) -> Result<Duration, Failure> {
    let spec = lab.spec();
    let Some(channel) = spec.channels.iter().find(|channel| channel.channel == Channel::Funding) else {
        return Ok(Duration::ZERO);
    };
    lab.arm(&format!(r#"{{"fault":"ws.mute","match":{{"channel":{:?}}}}}"#, fixed_part(channel.name)))?;
    let ground = lab.ground()?;
    let moved = lab.venue(|venue, now| {
        let set = venue
            .exchange_mut()
            .set_index_price(&ground.symbol, Some(index * Decimal::new(101, 2)))
            .map(drop);
        venue.advance(now);
        set
    });
    moved.map_err(Failure::new)?;
    // The mark price comes to rest, so that one answer can have all of it.
    lab.venue(|venue, _| venue.exchange_mut().set_mark_price(&ground.symbol, Some(index)).map(drop))
        .map_err(Failure::new)?;
    let start = lab.mono();
    loop {
        let ours = lab.read(|engine, _| engine.funding(&ground.pair)).unwrap_or_default();
        let truth = lab.look(|exchange| exchange.mark_price(&ground.symbol));
        let same = truth.is_some_and(|truth| {
            (ours.mark_price, ours.index_price, ours.next_time)
                == (Some(truth.mark_price), Some(truth.index_price), Some(truth.next_funding))
        });
        let took = lab.mono().since(start);
        if same {
            lab.disarm();
            lab.ready()?;
            follows(lab, grounds, MINUTE)?;
            return Ok(took);
        }
        ensure(took < STALLED, || format!("a silent stream: known is {ours:?} after {}", human(took)))?;
        lab.run_for(Duration::from_millis(100));
    }
}

/// How long it takes until what a silent stream of funding news does not tell is known by other means.
pub(in crate::rows) fn helped(kit: &Kit) -> Result<Duration, Failure> {
    let mut lab = Lab::new(kit, 1, false, 0)?;
    lab.ready()?;
    lab.run_for(MINUTE);
    let ground = lab.ground()?;
    silent(&mut lab, std::slice::from_ref(&ground), ground.middle)
}

/// A payment, by what names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Payment {
    /// Milliseconds since the Unix epoch: finer is not told.
    ms: i64,
    pair: Pair,
    asset: Asset,
    amount: Decimal,
    id: Option<String>,
}

fn ms(time: UnixNanos) -> i64 {
    time.0.div_euclid(1_000_000)
}

/// What the ledger has paid to the account, or taken from it.
fn paid(lab: &Lab) -> Vec<Payment> {
    let pairs: BTreeMap<_, _> =
        lab.grounds.iter().map(|ground| (ground.symbol.clone(), ground.pair.clone())).collect();
    let account = lab.account();
    let mut all: Vec<Payment> = lab.look(|exchange| {
        let incomes = exchange.incomes(account, Some(IncomeKind::Funding), &HistoryQuery::default());
        incomes
            .iter()
            .filter_map(|income| {
                Some(Payment {
                    ms: ms(income.time),
                    pair: pairs.get(income.symbol.as_ref()?)?.clone(),
                    asset: income.asset.clone(),
                    amount: income.amount.normalize(),
                    id: Some(income.id.to_string()),
                })
            })
            .collect()
    });
    all.sort();
    all
}

/// What the journal has of payments.
fn recorded(lab: &Lab) -> Result<Vec<Payment>, Failure> {
    let rows = lab.journal.funding(&Filter::default())?.into_iter().map(|row| row.row);
    let mut all: Vec<Payment> = rows
        .map(|paid| Payment {
            ms: ms(paid.time),
            pair: paid.pair,
            asset: paid.asset,
            amount: paid.amount.normalize(),
            id: paid.payment_id.map(|id| id.to_string()),
        })
        .collect();
    all.sort();
    Ok(all)
}

/// What was told of payments in each life, and when that life was killed.
fn told(lab: &Lab) -> Vec<(UnixNanos, Option<UnixNanos>, Payment)> {
    let lives = lab.dead().iter().map(|(events, killed)| (events.as_slice(), Some(*killed)));
    let lives = lives.chain([(lab.events(), None)]);
    let of_life = |(events, killed): (&[Event], Option<UnixNanos>)| -> Vec<_> {
        let payments = events.iter().filter_map(|event| match event {
            Event::FundingPaid(paid) => Some(Payment {
                ms: ms(paid.venue_time),
                pair: paid.pair.clone(),
                asset: paid.asset.clone(),
                amount: paid.amount.normalize(),
                id: paid.payment_id.as_ref().map(ToString::to_string),
            }),
            _ => None,
        });
        let times = events.iter().filter(|event| matches!(event, Event::FundingPaid(_))).map(Event::time);
        times.zip(payments).map(|(time, payment)| (time, killed, payment)).collect()
    };
    lives.flat_map(of_life).collect()
}

/// How long the journal of a week takes to store.
const LAG: Duration = Duration::from_millis(20);

/// A week of trading in one mode.
struct Week {
    lab: Lab,
    dice: Dice,
    mode: PositionMode,
    kills: usize,
    cuts: usize,
    /// When the connector ran.
    runs: Vec<(UnixNanos, UnixNanos)>,
    begun: UnixNanos,
}

impl Week {
    fn new(kit: &Kit, mode: PositionMode) -> Result<Self, Failure> {
        let mut lab = Lab::prepare(kit, 2, false, 0, |setup| {
            // Nothing here depends on how often prices and books are told.
            (setup.perpetual.mark_interval, setup.book_interval) = (MARKS, MARKS);
            let first = setup.markets.iter_mut().find_map(|market| market.contract.as_mut());
            if let Some(contract) = first {
                contract.funding_interval = HOUR;
            }
        })?;
        lab.ready()?;
        if lab.read(|engine, _| engine.position_mode()).flatten() != Some(mode) {
            lab.with(|engine, now| engine.set_position_mode(now, mode))?;
            lab.until("the position mode", LONG, |engine, _| engine.position_mode() == Some(mode))?;
        }
        let begun = lab.utc();
        Ok(Self {
            lab,
            dice: Dice(kit.seed ^ 0xF00D),
            mode,
            kills: 0,
            cuts: 0,
            runs: vec![(begun, begun)],
            begun,
        })
    }

    /// Something happens, and time passes.
    async fn step(&mut self) -> Result<(), Failure> {
        let number = self.dice.below(3);
        let index = usize::try_from(number).unwrap_or_default().min(self.lab.grounds.len().saturating_sub(1));
        let ground = self.lab.grounds.get(index).cloned().ok_or_else(|| Failure::new("no market"))?;
        match self.dice.below(12) {
            0..=3 => self.trade(&ground),
            4..=5 => self.flatten(&ground),
            6 => self.rate(&ground)?,
            7 => self.settle(&ground)?,
            8 | 9 => self.cut()?,
            _ => self.kill()?,
        }
        for _ in 0..=self.dice.below(100) {
            self.lab.run_for(MINUTE);
            // Other rows run on the same thread, in real time.
            tokio::task::yield_now().await;
        }
        let now = self.lab.utc();
        if let Some(run) = self.runs.last_mut() {
            run.1 = now;
        }
        Ok(())
    }

    /// Whatever is refused was not sent: not ready, or not enough collateral.
    fn trade(&mut self, ground: &Ground) {
        let side = if self.dice.below(2) == 0 { Side::Buy } else { Side::Sell };
        let amount = lots(ground, 1 + i64::try_from(self.dice.below(20)).unwrap_or_default());
        let order = taking(ground, side, amount);
        let _ = self.lab.place(if self.mode == PositionMode::Hedge { order.open() } else { order });
    }

    fn flatten(&mut self, ground: &Ground) {
        let account = self.lab.account();
        for place in places(self.mode) {
            let view = self.lab.look(|exchange| exchange.position(account, &ground.symbol, *place));
            let Some(view) = view.filter(|view| !view.amount.is_zero()) else { continue };
            let side = if view.amount > Decimal::ZERO { Side::Sell } else { Side::Buy };
            let _ = self.lab.place(NewOrder::close(taking(ground, side, view.amount.abs())));
        }
    }

    fn rate(&mut self, ground: &Ground) -> Result<(), Failure> {
        let rate = Decimal::new(i64::try_from(self.dice.below(600)).unwrap_or_default() - 300, 5);
        self.lab
            .venue(|venue, _| venue.exchange_mut().set_funding_rate(&ground.symbol, Some(rate)))
            .map_err(Failure::new)
    }

    /// Besides those that are due: twice at once, so that several come with one answer.
    fn settle(&mut self, ground: &Ground) -> Result<(), Failure> {
        self.lab.venue(|venue, now| {
            for _ in 0..2 {
                venue.exchange_mut().settle_funding(&ground.symbol).map_err(Failure::new)?;
            }
            venue.advance(now);
            Ok(())
        })
    }

    /// The private stream is cut, and for some minutes nothing about payments is answered.
    fn cut(&mut self) -> Result<(), Failure> {
        let lasts = 60_000 * (1 + self.dice.below(150));
        let links: Vec<_> = self
            .lab
            .spec()
            .links
            .iter()
            .filter(|link| link.role == LinkRole::User)
            .map(|link| link.name)
            .collect();
        for link in links {
            self.lab.arm(&format!(r#"{{"fault":"ws.close","code":1001,"match":{{"link":{link:?}}}}}"#))?;
            self.lab.arm(&format!(
                r#"{{"fault":"net.refuse","match":{{"link":{link:?}}},"trigger":{{"duration_ms":{lasts}}}}}"#
            ))?;
        }
        self.lab.arm(&format!(
            r#"{{"fault":"http.status","code":503,"body":"","match":{{"row":"funding_payments"}},"trigger":{{"duration_ms":{lasts}}}}}"#
        ))?;
        self.cuts += 1;
        Ok(())
    }

    fn kill(&mut self) -> Result<(), Failure> {
        self.kills += 1;
        let minutes = u32::try_from(self.dice.below(300)).unwrap_or_default();
        let killed = self.lab.utc();
        self.lab.kill_for(LAG, MINUTE * minutes)?;
        if let Some(run) = self.runs.last_mut() {
            run.1 = killed;
        }
        let now = self.lab.utc();
        self.runs.push((now, now));
        Ok(())
    }

    /// Everything comes to rest.
    fn finish(&mut self) -> Result<(), Failure> {
        self.lab.disarm();
        self.lab.ready()?;
        self.lab.run_for(HOUR);
        if let Some(run) = self.runs.last_mut() {
            run.1 = self.lab.utc();
        }
        self.lab.agrees()?;
        self.lab.until("everything to be stored", LONG, |engine, _| engine.unrecorded() == 0).map(drop)
    }

    /// The payments, each there once.
    fn judge(&self) -> Result<Vec<Payment>, Failure> {
        let (truth, stored) = (paid(&self.lab), recorded(&self.lab)?);
        ensure(truth == stored, || {
            let lost = truth.iter().find(|payment| !stored.contains(payment));
            let more = stored.iter().find(|payment| !truth.contains(payment));
            format!(
                "the venue made {} payments, {} are recorded; lost {lost:?}, invented {more:?}",
                truth.len(),
                stored.len()
            )
        })?;
        let mut events: BTreeMap<Payment, Vec<(UnixNanos, Option<UnixNanos>)>> = BTreeMap::new();
        for (time, killed, payment) in told(&self.lab) {
            events.entry(payment).or_default().push((time, killed));
        }
        let lag = i64::try_from(LAG.as_nanos()).unwrap_or(i64::MAX).saturating_mul(2);
        for payment in &truth {
            let tellings = events.remove(payment).unwrap_or_default();
            ensure(!tellings.is_empty(), || format!("{payment:?} was never told"))?;
            // Told again only if the life that told it first was killed before it had stored that.
            let early = tellings.iter().rev().skip(1);
            let lost = |(time, killed): &(UnixNanos, Option<UnixNanos>)| {
                killed.is_some_and(|killed| killed.0 - time.0 <= lag)
            };
            ensure(early.clone().all(lost), || format!("{payment:?} was told {} times", tellings.len()))?;
        }
        let invented = events.into_keys().next();
        ensure(invented.is_none(), || format!("told, and never made: {invented:?}"))?;
        Ok(truth)
    }

    /// How often funding was settled, on all contracts.
    fn settlements(&self) -> usize {
        self.lab.look(|exchange| {
            let of = |ground: &Ground| {
                exchange.funding_rates(&ground.symbol, Some(self.begun), None, usize::MAX).len()
            };
            self.lab.grounds.iter().map(of).sum()
        })
    }

    fn timeline(&self, payments: &[Payment]) -> Detail {
        let at = |time: UnixNanos| u64::try_from(time.0 - self.begun.0).unwrap_or_default();
        let mark = |time: UnixNanos, amount: Decimal| Mark {
            at_ns: at(time),
            tone: if amount.is_sign_negative() { Tone::Plain } else { Tone::Good },
            what: if amount.is_sign_negative() { "paid".to_owned() } else { "received".to_owned() },
            count: 1,
        };
        let runs = self.runs.iter().map(|(from, until)| Span {
            from_ns: at(*from),
            until_ns: at(*until),
            tone: Tone::Good,
            what: "running".to_owned(),
        });
        let mut lanes = vec![Lane {
            place: Place::Connector,
            name: "connector".to_owned(),
            spans: runs.collect(),
            marks: Vec::new(),
        }];
        let told = told(&self.lab);
        for ground in &self.lab.grounds {
            let of = |pair: &Pair| *pair == ground.pair;
            let theirs: Vec<_> = payments
                .iter()
                .filter(|payment| of(&payment.pair))
                .map(|payment| mark(UnixNanos(payment.ms.saturating_mul(1_000_000)), payment.amount))
                .collect();
            let ours: Vec<_> = told
                .iter()
                .filter(|(_, _, payment)| of(&payment.pair))
                .map(|(time, _, payment)| mark(*time, payment.amount))
                .collect();
            for (place, marks) in [(Place::Venue, theirs), (Place::Connector, ours)] {
                if !marks.is_empty() {
                    lanes.push(Lane {
                        place,
                        name: format!("payments of {}", ground.pair),
                        spans: Vec::new(),
                        marks,
                    });
                }
            }
        }
        let title = format!("Funding in {} mode", self.mode);
        Detail::Timeline(Timeline { title, length_ns: at(self.lab.utc()), lanes })
    }
}

/// PQ-09.
///
/// # Errors
/// The payment that was lost, told twice, or never made.
pub async fn payments(kit: Kit) -> Judgement {
    let spec = (kit.face)().spec();
    let offered = spec.perpetual.map(|spec| spec.position_modes).unwrap_or_default();
    let (mut rows, mut timelines) = (Vec::new(), Vec::new());
    let (mut sum, mut kills, mut cuts) = (0, 0, 0);
    for (number, mode) in offered.iter().enumerate() {
        let mut week = Week::new(&kit, *mode)?;
        // What differs in the others is that both legs are paid for at one time: less of it shows that.
        let end = week.lab.mono().after(if number == 0 { WEEK } else { WEEK / 4 });
        while week.lab.mono() < end {
            week.step().await?;
        }
        let named = |failure: Failure| Failure(format!("{mode}: {}", failure.0));
        week.finish().map_err(named)?;
        let payments = week.judge().map_err(named)?;
        let settlements = week.settlements();
        ensure(payments.len() > 20, || format!("{mode}: {} payments prove nothing", payments.len()))?;
        let received = payments.iter().filter(|payment| payment.amount > Decimal::ZERO).count();
        let total: Decimal = payments.iter().map(|payment| payment.amount).sum();
        rows.push(vec![
            mode.to_string(),
            settlements.to_string(),
            payments.len().to_string(),
            received.to_string(),
            plain(total),
            week.kills.to_string(),
            week.cuts.to_string(),
        ]);
        timelines.push(week.timeline(&payments));
        (sum, kills, cuts) = (sum + payments.len(), kills + week.kills, cuts + week.cuts);
    }
    let text = format!(
        "a virtual week, and more in {} modes, with {kills} kills and {cuts} cuts of stream and answers: {sum} payments recorded and told, \
         each once, with the venue's amount; none without a position, none lost",
        rows.len()
    );
    let head = ["mode", "settlements", "payments", "received", "in all", "kills", "cuts"]
        .map(str::to_owned)
        .to_vec();
    let evidence = Evidence::new(text).with(Detail::Table { title: "Payments".to_owned(), head, rows });
    Ok(timelines.into_iter().fold(evidence, Evidence::with))
}
