//! The workspace as it lies on disk: where it is and which connectors it holds.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A wrong command line: what is wrong and what would be right, in one line.
#[derive(Debug)]
pub(crate) struct Usage(pub(crate) String);

/// The workspace.
pub(crate) struct Workspace {
    /// Its root directory.
    pub(crate) root: PathBuf,
    /// Names of its connectors, sorted.
    pub(crate) connectors: Vec<String>,
}

impl Workspace {
    /// Finds the workspace this program was built from. The list of connectors is read from the directory tree, so that a new
    /// connector needs no entry anywhere.
    pub(crate) fn find() -> std::io::Result<Self> {
        let here = std::env::var_os("CARGO_MANIFEST_DIR")
            .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = here.parent().map_or_else(|| PathBuf::from("."), Path::to_path_buf);
        let mut connectors = Vec::new();
        for entry in std::fs::read_dir(root.join("crates"))? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if is_connector(&name) && entry.path().join("Cargo.toml").is_file() {
                connectors.push(name);
            }
        }
        connectors.sort();
        Ok(Self { root, connectors })
    }

    /// The connector with this name.
    pub(crate) fn connector(&self, name: &str) -> Result<&str, Usage> {
        self.connectors.iter().map(String::as_str).find(|known| *known == name).ok_or_else(|| {
            let near = nearest(name, self.connectors.iter().map(String::as_str))
                .map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Usage(format!("no connector `{name}`{near} (known: {})", self.connectors.join(", ")))
        })
    }

    /// A cargo command on this workspace, run where the user is so that relative paths keep their meaning.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut command = cargo_itself();
        command.arg(subcommand);
        if subcommand == "deny" {
            // An external subcommand knows only its own options; it finds the workspace by where it runs.
            command.current_dir(&self.root);
        } else {
            command.arg("--manifest-path").arg(self.root.join("Cargo.toml"));
        }
        command
    }

    /// The command that runs a connector's own runner: the example each connector crate carries, so that this program need not
    /// be linked with any of them.
    pub(crate) fn runner(&self, connector: &str, build: Build) -> Command {
        let mut command = self.cargo("run");
        command.args(["--quiet", "--package", connector, "--example", &format!("xtask-{connector}")]);
        if build.release {
            command.arg("--release");
        }
        if build.mutants {
            command.args(["--features", "connector-core/mutants"]);
        }
        if !build.tls {
            command.arg("--no-default-features");
        }
        command.arg("--");
        command
    }
}

/// The cargo that has started this program, without what it has told this program about itself: build scripts that look at such
/// variables would run again, and everything behind them be built again, each time somebody changes between `cargo` and
/// `cargo xtask`.
pub(crate) fn cargo_itself() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|told| name.to_string_lossy().starts_with(told)) {
            command.env_remove(name);
        }
    }
    command
}

/// How a runner is built.
#[derive(Clone, Copy, Default)]
pub(crate) struct Build {
    /// With full optimisation: for commands whose speed is their result.
    pub(crate) release: bool,
    /// With known defects that can be planted: only for the command that hunts them.
    pub(crate) mutants: bool,
    /// With TLS: only for commands that leave this machine.
    pub(crate) tls: bool,
}

fn is_connector(name: &str) -> bool {
    name.starts_with("spot-") || name.ends_with("-perpetual")
}

/// The name most like `name`, if any is close enough to be what was meant.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(name.len()).div_ceil(2))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Insertions, removals and replacements between two texts.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.chars().count()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut previous = i;
        let mut last = i + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(right.chars()) {
            let replaced = previous + usize::from(a != b);
            previous = *cell;
            *cell = replaced.min(previous + 1).min(last + 1);
            last = *cell;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_counts_edits() {
        for (left, right, edits) in
            [("", "", 0), ("abc", "abc", 0), ("kitten", "sitting", 3), ("", "ab", 2), ("ab", "", 2)]
        {
            assert_eq!(distance(left, right), edits, "{left} {right}");
        }
    }

    #[test]
    fn suggests_only_what_is_near() {
        let known = ["spot-alpha", "beta-perpetual"];
        assert_eq!(nearest("spot-alfa", known.into_iter()), Some("spot-alpha"));
        assert_eq!(nearest("zzzzzzzzzzzzzzzz", known.into_iter()), None);
    }

    #[test]
    fn connectors_are_found_by_name() {
        assert!(is_connector("spot-x") && is_connector("x-perpetual"));
        assert!(!is_connector("connector-core") && !is_connector("xtask"));
    }
}
