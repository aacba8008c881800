//! What the operating system says of this process. Linux only: elsewhere everything is zero.

use std::fs;

/// Totals since the start of the process.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Use {
    /// Nanoseconds on a processor, over all threads.
    pub(crate) cpu_ns: u64,
    /// How often a thread has gone to sleep by itself, over all threads: each time it was woken before.
    pub(crate) wakes: u64,
}

impl Use {
    /// Reads it now. The threads must be those that were there when it was first read.
    pub(crate) fn now() -> Self {
        let mut all = Self::default();
        for task in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let read = |name: &str| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let cpu = read("schedstat");
            all.cpu_ns += cpu.split(' ').next().and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
            let status = read("status");
            let wakes = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
            all.wakes += wakes.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0);
        }
        all
    }

    pub(crate) const fn since(self, before: Self) -> Self {
        Self { cpu_ns: self.cpu_ns - before.cpu_ns, wakes: self.wakes - before.wakes }
    }
}

/// Resident memory in KiB.
pub(crate) fn memory_kib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|text| text.trim().split(' ').next()?.parse().ok()).unwrap_or(0.0)
}
