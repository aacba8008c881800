//! Plots as inline SVG: colours come from the page's style sheet, so that they suit light and dark alike.

use std::fmt::Write as _;
use std::time::Duration;

use super::axis::{place, round, steps, time, times};
use super::escape::escape;
use super::evidence::{Chart, Lane, Place, Series, Shape, Timeline, Unit};
use super::{human, percentile};

/// Units of the drawing; the page scales it.
const WIDTH: u64 = 760;
/// Height of the area with values.
const HEIGHT: u64 = 150;
/// Room for the values' labels.
const LEFT: u64 = 62;
/// Room for what sticks out.
const RIGHT: u64 = 16;
const TOP: u64 = 12;
/// Room for the labels of the time.
const BOTTOM: u64 = 34;

/// Opens a drawing that says what it shows to those who do not see it.
fn open(title: &str, description: &str, height: u64, page: &mut String) {
    // Writing to memory cannot fail, here and below.
    let _ = write!(
        page,
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\"><title>{}</title><desc>{}</desc>",
        escape(title),
        escape(title),
        escape(description)
    );
}

fn value(unit: &Unit, value: u64) -> String {
    match unit {
        Unit::Nanos => round(value),
        Unit::Count(_) => {
            let digits = value.to_string();
            let mut text = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) {
                    text.push(',');
                }
                text.push(digit);
            }
            text
        }
    }
}

/// A rectangle with a scale of values at its left and a title of what they are.
struct Area {
    left: u64,
    width: u64,
    top_value: u64,
}

impl Area {
    /// Draws grid and labels.
    fn begin(left: u64, width: u64, highest: u64, unit: &Unit, page: &mut String) -> Self {
        let marks = steps(highest.max(1), 4);
        let top_value = marks.last().copied().unwrap_or(1).max(1);
        let area = Self { left, width, top_value };
        for mark in marks {
            let y = area.y(mark);
            let _ = write!(
                page,
                "<path class=\"grid\" d=\"M{left} {y}h{width}\"/><text class=\"tick\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                left - 7,
                y + 4,
                value(unit, mark)
            );
        }
        area
    }

    fn y(&self, value: u64) -> u64 {
        TOP + HEIGHT - place(value, self.top_value, HEIGHT)
    }

    fn x(&self, at: u64, length: u64) -> u64 {
        self.left + place(at, length, self.width)
    }

    /// A scale of time below.
    fn times(&self, length: u64, page: &mut String) {
        for at in times(length, 7) {
            below(self.x(at, length), &time(at), page);
        }
    }
}

fn below(x: u64, text: &str, page: &mut String) {
    // What would be cut at the right edge ends there.
    let (at, anchor) = if x + wide(text) / 2 + 4 > WIDTH { (WIDTH - 3, "end") } else { (x, "middle") };
    let _ = write!(
        page,
        "<path class=\"tickmark\" d=\"M{x} {}v4\"/><text class=\"tick\" x=\"{at}\" y=\"{}\" text-anchor=\"{anchor}\">{}</text>",
        TOP + HEIGHT,
        TOP + HEIGHT + 18,
        escape(text)
    );
}

fn axis_title(x: u64, text: &str, page: &mut String) {
    let _ = write!(
        page,
        "<text class=\"axis\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
        TOP + HEIGHT + BOTTOM - 2,
        escape(text)
    );
}

/// The path of a series. Of many points in one column those that matter are kept, so that no peak is lost and the page stays
/// light.
fn path(area: &Area, series: &Series, length: u64) -> String {
    let mut columns: Vec<(u64, [u64; 4])> = Vec::new();
    for (at, value) in &series.points {
        let (x, y) = (area.x(*at, length), area.y(*value));
        match columns.last_mut() {
            // First, lowest, highest, last.
            Some((column, [_, least, most, last])) if *column == x => {
                (*least, *most, *last) = ((*least).min(y), (*most).max(y), y);
            }
            _ => columns.push((x, [y; 4])),
        }
    }
    let (mut path, mut before) = (String::new(), None);
    for (x, ys) in columns {
        for (number, y) in ys.into_iter().enumerate() {
            match before {
                None => {
                    let _ = write!(path, "M{x} {y}");
                }
                Some((_, old)) if number == 0 && series.shape == Shape::Steps => {
                    let _ = write!(path, "H{x}");
                    if old != y {
                        let _ = write!(path, "V{y}");
                    }
                }
                Some(old) if old == (x, y) => {}
                Some((old, _)) if old == x => {
                    let _ = write!(path, "V{y}");
                }
                Some(_) => {
                    let _ = write!(path, "L{x} {y}");
                }
            }
            before = Some((x, y));
        }
    }
    path
}

/// What a chart says, in one line.
pub(super) fn chart_line(chart: &Chart) -> String {
    let highest = |series: &Series| format!("{} up to {}", series.name, value(&chart.unit, series.highest()));
    let mut parts: Vec<_> = chart.series.iter().map(highest).collect();
    if let Some((name, limit)) = &chart.limit {
        parts.push(format!("{name} {}", value(&chart.unit, *limit)));
    }
    parts.join(", ")
}

/// Series over time, with a legend that tells them apart by colour and by dashes.
pub(super) fn chart(chart: &Chart, page: &mut String) {
    let last = |series: &Series| series.points.last().map(|(at, _)| *at);
    let length = chart.series.iter().filter_map(last).max().unwrap_or_default();
    let limit = chart.limit.as_ref().map_or(0, |(_, value)| *value);
    let highest = chart.series.iter().map(Series::highest).max().unwrap_or_default().max(limit);
    let unit = match &chart.unit {
        Unit::Nanos => String::new(),
        Unit::Count(what) => format!(" <span>in {}</span>", escape(what)),
    };
    let _ =
        write!(page, "<figure><figcaption>{}{unit}</figcaption><ul class=\"legend\">", escape(&chart.title));
    for (number, series) in chart.series.iter().enumerate() {
        let _ = write!(page, "{}{}</li>", sample(&format!("series s{}", number % 4)), escape(&series.name));
    }
    if let Some((name, limit)) = &chart.limit {
        let _ = write!(page, "{}{} {}</li>", sample("limit"), escape(name), value(&chart.unit, *limit));
    }
    page.push_str("</ul><div class=\"scroll\">");
    open(&chart.title, &chart_line(chart), TOP + HEIGHT + BOTTOM, page);
    let area = Area::begin(LEFT, WIDTH - LEFT - RIGHT, highest, &chart.unit, page);
    area.times(length, page);
    if let Some((_, limit)) = &chart.limit {
        let _ = write!(page, "<path class=\"limit\" d=\"M{LEFT} {}h{}\"/>", area.y(*limit), area.width);
    }
    for (number, series) in chart.series.iter().enumerate() {
        let _ = write!(
            page,
            "<path class=\"series s{}\" d=\"{}\"><title>{}</title></path>",
            number % 4,
            path(&area, series, length),
            escape(&series.name)
        );
    }
    axis_title(LEFT + area.width / 2, "time since the start", page);
    page.push_str("</svg></div></figure>");
}

fn sample(class: &str) -> String {
    format!(
        "<li><svg class=\"sample\" viewBox=\"0 0 26 8\" aria-hidden=\"true\"><path class=\"{class}\" d=\"M1 4h24\"/></svg>"
    )
}

/// What samples say, in one line.
pub(super) fn samples_line(nanos: &[u64]) -> String {
    let mut sorted = nanos.to_vec();
    sorted.sort_unstable();
    let at = |percent| human(Duration::from_nanos(percentile(&sorted, percent)));
    format!("{} samples, p50 {}, p90 {}, p99 {}, max {}", nanos.len(), at(50), at(90), at(99), at(100))
}

/// Where a duration counts: four bins from each power of two to the next.
fn bin(nanos: u64) -> u64 {
    let octave = nanos.checked_ilog2().unwrap_or_default();
    let quarter = if octave < 2 { 0 } else { (nanos >> (octave - 2)) & 3 };
    u64::from(octave) * 4 + quarter
}

const fn bin_start(bin: u64) -> u64 {
    let octave = bin / 4;
    if octave < 2 { 1 << octave } else { (4 + bin % 4) << (octave - 2) }
}

/// Samples one after the other as dots, with median and 99th percentile; beside them how often which duration came.
pub(super) fn samples(title: &str, nanos: &[u64], page: &mut String) {
    const ORDER: u64 = 420;
    let mut sorted = nanos.to_vec();
    sorted.sort_unstable();
    let (median, high) = (percentile(&sorted, 50), percentile(&sorted, 99));
    let line = samples_line(nanos);
    let _ = write!(
        page,
        "<figure><figcaption>{} <span>{line}</span></figcaption><ul class=\"legend\">{}median</li>{}99th percentile</li></ul>\
         <div class=\"scroll\">",
        escape(title),
        sample("median"),
        sample("high"),
    );
    open(title, &line, TOP + HEIGHT + BOTTOM, page);
    // A few that are far out must not press all others flat: they are at the upper edge, and in the distribution.
    let highest = sorted.last().copied().unwrap_or_default().min(high.saturating_mul(4));
    let area = Area::begin(LEFT, ORDER, highest, &Unit::Nanos, page);
    let count = u64::try_from(nanos.len()).unwrap_or(u64::MAX);
    for at in steps(count.saturating_sub(1), 4).into_iter().filter(|at| *at < count) {
        below(area.x(at, count), &at.to_string(), page);
    }
    axis_title(LEFT + ORDER / 2, "samples in their order", page);
    // More dots than places would only make the page heavy; the highest of each is kept, so no peak is lost.
    let step = nanos.len().div_ceil(usize::try_from(ORDER).unwrap_or(1)).max(1);
    for (column, chunk) in nanos.chunks(step).enumerate() {
        let value = chunk.iter().copied().max().unwrap_or_default();
        let x = area.x(u64::try_from(column * step).unwrap_or_default(), count);
        if value > area.top_value {
            let told = human(Duration::from_nanos(value));
            let _ = write!(
                page,
                "<path class=\"out\" d=\"M{x} {}l4 7h-8z\"/><text class=\"note\" x=\"{}\" y=\"{}\">{told}</text>",
                TOP - 3,
                x + 7,
                TOP + 5
            );
        } else {
            let _ = write!(page, "<circle cx=\"{x}\" cy=\"{}\" r=\"2\"/>", area.y(value));
        }
    }
    for (value, class) in [(median, "median"), (high, "high")] {
        let _ = write!(page, "<path class=\"{class}\" d=\"M{LEFT} {}h{ORDER}\"/>", area.y(value));
    }
    histogram(&sorted, LEFT + ORDER + 56, page);
    page.push_str("</svg></div></figure>");
}

/// How often which duration came, on a logarithmic scale.
fn histogram(sorted: &[u64], left: u64, page: &mut String) {
    let width = WIDTH - RIGHT - left;
    let (first, last) = match sorted {
        [first, .., last] => (bin(*first), bin(*last)),
        [only] => (bin(*only), bin(*only)),
        [] => return,
    };
    // A power of two at either end, so that each scale has labels.
    let (first, last) = (first / 4 * 4, (last / 4 + 1) * 4);
    let mut counts = vec![0_u64; usize::try_from(last - first).unwrap_or_default()];
    for nanos in sorted {
        let place = usize::try_from(bin(*nanos) - first).unwrap_or_default();
        if let Some(count) = counts.get_mut(place) {
            *count += 1;
        }
    }
    let highest = counts.iter().copied().max().unwrap_or_default();
    let area = Area::begin(left, width, highest, &Unit::Count(String::new()), page);
    for (number, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
        let start = first + u64::try_from(number).unwrap_or_default();
        let (x, until) = (area.x(start - first, last - first), area.x(start + 1 - first, last - first));
        let y = area.y(*count);
        let _ = write!(
            page,
            "<rect class=\"bin\" x=\"{x}\" y=\"{y}\" width=\"{}\" height=\"{}\"><title>{} of {} to {}</title></rect>",
            (until - x).saturating_sub(1).max(1),
            TOP + HEIGHT - y,
            count,
            human(Duration::from_nanos(bin_start(start))),
            human(Duration::from_nanos(bin_start(start + 1)))
        );
    }
    let octaves = (last - first) / 4;
    for octave in (0..=octaves).step_by(usize::try_from(octaves.div_ceil(3)).unwrap_or(1).max(1)) {
        let nanos = bin_start(first + octave * 4);
        below(area.x(octave * 4, last - first), &human(Duration::from_nanos(nanos)), page);
    }
    axis_title(left + width / 2, "samples by duration, logarithmic", page);
}

/// Height of a lane.
const LANE: u64 = 24;
/// Room for the lanes' names.
const NAMES: u64 = 168;

/// What a timeline says, in one line.
pub(super) fn timeline_line(timeline: &Timeline) -> String {
    format!(
        "{} spans and marks in {} lanes over {}",
        timeline.size(),
        timeline.lanes.len(),
        time_of(timeline.length_ns)
    )
}

fn time_of(nanos: u64) -> String {
    let duration = Duration::from_nanos(nanos);
    if duration < Duration::from_secs(120) {
        human(duration)
    } else {
        time(duration.as_secs() * 1_000_000_000)
    }
}

/// What happened when: a lane for each kind, spans as bars, events as marks.
pub(super) fn timeline(timeline: &Timeline, page: &mut String) {
    let length = timeline.length_ns.max(1);
    let width = WIDTH - NAMES - RIGHT;
    let groups = [(Place::Connector, "connector"), (Place::Venue, "venue")];
    let lanes = u64::try_from(timeline.lanes.len()).unwrap_or_default();
    let height = lanes * LANE + 2 * 20 + 26;
    let line = timeline_line(timeline);
    let _ = write!(page, "<figure><figcaption>{} <span>{line}</span></figcaption>", escape(&timeline.title));
    page.push_str(
        "<ul class=\"legend tones\"><li class=\"good\">as it should be</li><li class=\"doubtful\">on its way or in doubt</li>\
         <li class=\"bad\">broken or lost</li></ul><div class=\"scroll\">",
    );
    open(&timeline.title, &line, height, page);
    let bottom = height - 26;
    for at in times(length, 6) {
        let x = NAMES + place(at, length, width);
        let _ = write!(
            page,
            "<path class=\"grid\" d=\"M{x} 16V{bottom}\"/><text class=\"tick\" x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            bottom + 18,
            escape(&time(at))
        );
    }
    let mut y = 0;
    for (group, name) in groups {
        let _ = write!(page, "<text class=\"group\" x=\"0\" y=\"{}\">{name}</text>", y + 14);
        y += 20;
        for lane in timeline.lanes.iter().filter(|lane| lane.place == group) {
            let _ = write!(
                page,
                "<text class=\"lane\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
                NAMES - 10,
                y + 16,
                escape(&lane.name)
            );
            show_lane(lane, y, length, width, page);
            y += LANE;
        }
    }
    page.push_str("</svg></div></figure>");
}

/// About how wide a text is.
fn wide(text: &str) -> u64 {
    u64::try_from(text.chars().count()).unwrap_or_default() * 6
}

fn show_lane(lane: &Lane, y: u64, length: u64, width: u64, page: &mut String) {
    let x = |at: u64| NAMES + place(at, length, width);
    for span in &lane.spans {
        let (from, until) = (x(span.from_ns), x(span.until_ns).max(x(span.from_ns) + 2));
        let tone = span.tone.word();
        let _ = write!(
            page,
            "<rect class=\"span {tone}\" x=\"{from}\" y=\"{}\" width=\"{}\" height=\"{}\" rx=\"3\"><title>{} for {}, from {}</title></rect>",
            y + 3,
            until - from,
            LANE - 6,
            escape(&span.what),
            time_of(span.until_ns - span.from_ns),
            time_of(span.from_ns)
        );
        if wide(&span.what) + 10 < until - from {
            let _ = write!(
                page,
                "<text class=\"within {tone}\" x=\"{}\" y=\"{}\">{}</text>",
                from + 6,
                y + 16,
                escape(&span.what)
            );
        }
    }
    let mut free = 0;
    for (number, mark) in lane.marks.iter().enumerate() {
        let (at, middle) = (x(mark.at_ns), y + LANE / 2);
        let times = if mark.count > 1 { format!(" × {}", mark.count) } else { String::new() };
        // Shape as well as colour tells what is bad.
        let (shape, tone) = match mark.tone {
            super::Tone::Bad => (format!("M{} {}l8 8m0-8l-8 8", at.saturating_sub(4), middle - 4), "bad"),
            tone => (format!("M{at} {}l5 5l-5 5l-5-5z", middle - 5), tone.word()),
        };
        let _ = write!(
            page,
            "<path class=\"mark {tone}\" d=\"{shape}\"><title>{}{times} at {}</title></path>",
            escape(&mark.what),
            time_of(mark.at_ns)
        );
        let next =
            lane.marks.get(number + 1).map_or(NAMES + width + RIGHT, |next| x(next.at_ns).saturating_sub(5));
        let text = format!("{}{times}", mark.what);
        let crossed =
            lane.spans.iter().any(|span| x(span.until_ns) > at && x(span.from_ns) < at + 8 + wide(&text));
        if at > free && at + 8 + wide(&text) < next && !crossed {
            let _ = write!(
                page,
                "<text class=\"note\" x=\"{}\" y=\"{}\">{}</text>",
                at + 8,
                y + 16,
                escape(&text)
            );
            free = at + 8 + wide(&text);
        }
    }
}

/// Columns of a sparkline.
const COLUMNS: usize = 24;

/// The highest value of each column of time; where no point is, the value before holds.
pub(super) fn evenly(series: &Series) -> Vec<u64> {
    let length = series.points.last().map_or(0, |(at, _)| *at);
    let last = u64::try_from(COLUMNS - 1).unwrap_or_default();
    let mut columns: Vec<Option<u64>> = vec![None; COLUMNS];
    for (at, value) in &series.points {
        let column = usize::try_from(place(*at, length, last)).unwrap_or_default();
        if let Some(held) = columns.get_mut(column) {
            *held = (*held).max(Some(*value));
        }
    }
    let mut before = 0;
    columns
        .into_iter()
        .map(|value| {
            before = value.unwrap_or(before);
            before
        })
        .collect()
}

/// The shape of something in one line of text.
pub(super) fn sparkline(values: &[u64]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().copied().max().unwrap_or_default().max(1);
    let size = values.len().div_ceil(COLUMNS).max(1);
    let bar = |chunk: &[u64]| {
        let value = chunk.iter().copied().max().unwrap_or_default();
        usize::try_from(place(value, highest, 7)).ok().and_then(|height| BARS.get(height)).copied()
    };
    values.chunks(size).filter_map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bins_are_where_they_say() {
        for nanos in [1, 2, 3, 4, 5, 7, 8, 100, 1_023, 1_024, 999_999_999] {
            let bin = bin(nanos);
            assert!(bin_start(bin) <= nanos, "{nanos}: {bin}");
            assert!(nanos < bin_start(bin / 4 * 4 + 4), "{nanos}: {bin}");
        }
        assert!((16..20).map(bin_start).eq([16, 20, 24, 28]), "four a power of two");
    }

    #[test]
    fn thinned_paths_keep_their_peaks() {
        let mut series = Series::new("one", Shape::Line);
        (0..100_000).for_each(|at| series.points.push((at, if at == 54_321 { 100 } else { at % 7 })));
        let area = Area { left: 0, width: 700, top_value: 100 };
        let path = path(&area, &series, 100_000);
        assert!(path.contains(&format!("V{TOP}")) && path.len() < 30_000, "{}", path.len());
    }

    #[test]
    fn steps_hold_their_value() {
        let mut series = Series::new("one", Shape::Steps);
        series.points = vec![(0, 0), (50, 100), (100, 0)];
        let area = Area { left: 0, width: 100, top_value: 100 };
        assert_eq!(path(&area, &series, 100), "M0 162H50V12H100V162");
    }

    #[test]
    fn numbers_and_lines_read_well() {
        assert_eq!(value(&Unit::Count("orders".to_owned()), 160_000), "160,000");
        assert_eq!(value(&Unit::Nanos, 2_000_000), "2 ms");
        assert_eq!(sparkline(&[0, 1, 2, 3, 4, 5, 6, 7]), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[]), "");
        let mut series = Series::new("one", Shape::Steps);
        series.points = vec![(0, 1), (10, 8), (22, 0), (23, 5)];
        assert_eq!(sparkline(&evenly(&series)), "▁▁▁▁▁▁▁▁▁▁████████████▁▅");
    }
}
