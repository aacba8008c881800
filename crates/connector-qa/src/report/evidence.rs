//! What rows hand over to be drawn: numbers over time, and what happened when.

use serde::Serialize;

/// What a number means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A duration, in nanoseconds.
    Nanos,
    /// So many of these, in the plural.
    Count(String),
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// The value goes straight from point to point.
    Line,
    /// The value holds until the next point.
    Steps,
}

/// One number over time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Series {
    /// Whose number it is.
    pub name: String,
    /// How it is drawn.
    pub shape: Shape,
    /// Nanoseconds since the chart's beginning, never falling, and the value in the chart's unit.
    pub points: Vec<(u64, u64)>,
}

impl Series {
    /// An empty series.
    pub fn new(name: impl Into<String>, shape: Shape) -> Self {
        Self { name: name.into(), shape, points: Vec::new() }
    }

    /// Adds a point. Of values that stay the same, only the first and the last are kept.
    pub fn push(&mut self, at_ns: u64, value: u64) {
        if let [.., before, last] = self.points.as_mut_slice()
            && before.1 == value
            && last.1 == value
        {
            last.0 = at_ns;
        } else {
            self.points.push((at_ns, value));
        }
    }

    /// The highest value.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.points.iter().map(|(_, value)| *value).max().unwrap_or_default()
    }
}

/// Numbers over time, on one pair of axes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Chart {
    /// What it shows.
    pub title: String,
    /// What the values mean.
    pub unit: Unit,
    /// The numbers.
    pub series: Vec<Series>,
    /// A value not to be exceeded, and what it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<(String, u64)>,
}

/// How good something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Tone {
    /// As it should be.
    Good,
    /// Neither.
    Plain,
    /// On its way, or in doubt.
    Doubtful,
    /// Broken, or lost.
    Bad,
}

impl Tone {
    /// As a word for style sheets.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Plain => "plain",
            Self::Doubtful => "doubtful",
            Self::Bad => "bad",
        }
    }
}

/// Something that lasted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Span {
    /// Nanoseconds since the timeline's beginning.
    pub from_ns: u64,
    /// Likewise; not before `from_ns`.
    pub until_ns: u64,
    /// How good it is.
    pub tone: Tone,
    /// What it is.
    pub what: String,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Mark {
    /// Nanoseconds since the timeline's beginning.
    pub at_ns: u64,
    /// How good it is.
    pub tone: Tone,
    /// What it is.
    pub what: String,
    /// How often it happened there.
    pub count: u64,
}

/// Where something was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// What the connector told.
    Connector,
    /// What the venue knows.
    Venue,
}

/// All of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Lane {
    /// Where it was seen.
    pub place: Place,
    /// What it is about.
    pub name: String,
    /// What lasted, in order.
    pub spans: Vec<Span>,
    /// What happened, in order.
    pub marks: Vec<Mark>,
}

/// What happened when, at the connector and at the venue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// What it shows.
    pub title: String,
    /// How long it is, nanoseconds.
    pub length_ns: u64,
    /// From top to bottom.
    pub lanes: Vec<Lane>,
}

impl Timeline {
    /// How many things it shows.
    #[must_use]
    pub fn size(&self) -> u64 {
        let of = |lane: &Lane| {
            u64::try_from(lane.spans.len()).unwrap_or_default()
                + lane.marks.iter().map(|mark| mark.count).sum::<u64>()
        };
        self.lanes.iter().map(of).sum()
    }
}
