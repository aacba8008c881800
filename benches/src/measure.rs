//! Taking times, and telling them.

use std::io::Write as _;
use std::time::Instant;

/// Who is measured when it is this project.
pub const OURS: &str = "ours";

/// The lower bound: the same work done by hand, or by the bare library.
pub const BOUND: &str = "bound";

/// What a program was asked to do.
#[derive(Debug, Default)]
pub struct Asked {
    /// Names of benchmarks; all if there is none.
    pub names: Vec<String>,
    /// A recording to take frames from, in place of made ones.
    pub frames: Option<String>,
    /// Whether to do everything once only, to see that it works.
    pub test: bool,
    /// Whether to run this project's side alone and longer, for a profiler to look at.
    pub alone: bool,
}

impl Asked {
    /// Reads the command line.
    ///
    /// # Errors
    /// An option that is not known, in words.
    pub fn read() -> Result<Self, String> {
        let mut asked = Self::default();
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--frames" => asked.frames = Some(arguments.next().ok_or("`--frames` needs a file")?),
                "--test" => asked.test = true,
                "--alone" => asked.alone = true,
                // Cargo says so to each benchmark.
                "--bench" => {}
                option if option.starts_with('-') => return Err(format!("no option `{option}`")),
                _ => asked.names.push(argument),
            }
        }
        Ok(asked)
    }

    /// Whether a benchmark is wanted.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.names.is_empty() || self.names.iter().any(|wanted| wanted == name)
    }
}

/// What one side of a comparison took, batch by batch.
#[derive(Debug)]
pub struct Samples {
    name: &'static str,
    who: &'static str,
    unit: &'static str,
    values: Vec<f64>,
}

impl Samples {
    /// Nothing yet.
    #[must_use]
    pub const fn new(name: &'static str, who: &'static str, unit: &'static str) -> Self {
        Self { name, who, unit, values: Vec::new() }
    }

    /// What is measured.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Adds the time `work` takes divided by `parts`, in nanoseconds.
    pub fn time<R>(&mut self, parts: usize, work: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = work();
        let nanos = start.elapsed().as_nanos() as f64;
        self.values.push(nanos / parts as f64);
        result
    }

    /// Adds a value in the unit of this comparison.
    pub fn add(&mut self, value: f64) {
        self.values.push(value);
    }

    /// Forgets the first value, which was to warm up.
    pub fn drop_first(&mut self) {
        self.values.remove(0);
    }

    /// Forgets what was measured.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Prints the line. The 99th percentile is the bad end: of a rate, what 99 of 100 batches exceed.
    pub fn tell(mut self) {
        self.values.sort_by(f64::total_cmp);
        let at = |part: f64| {
            let last = self.values.len().saturating_sub(1) as f64;
            self.values.get((last * part) as usize).copied().unwrap_or(f64::NAN)
        };
        let (median, p99) = (at(0.5), at(if self.unit.ends_with("/s") { 0.01 } else { 0.99 }));
        let Self { name, who, unit, .. } = self;
        // A reader that has gone away is not an error of ours.
        let _ = writeln!(
            std::io::stdout(),
            r#"{{"name":"{name}","who":"{who}","unit":"{unit}","median":{median:.3},"p99":{p99:.3}}}"#
        );
    }
}

/// The bytes of several frames, fresh each time as a socket's buffer would be: copied in before the clock starts, so that they
/// are in the cache and may be overwritten.
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Batch {
    /// Fills in frames.
    pub fn fill(&mut self, frames: &[Vec<u8>]) {
        self.bytes.clear();
        self.ends.clear();
        for frame in frames {
            self.bytes.extend_from_slice(frame);
            self.ends.push(self.bytes.len());
        }
    }

    /// Hands out the frames, one after the other.
    #[inline]
    pub fn each(&mut self, mut take: impl FnMut(&mut [u8])) {
        let (mut rest, mut start) = (self.bytes.as_mut_slice(), 0);
        for end in &self.ends {
            let (frame, behind) = rest.split_at_mut(end - start);
            (rest, start) = (behind, *end);
            take(frame);
        }
    }
}
