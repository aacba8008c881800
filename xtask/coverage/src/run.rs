//! Builds the tests with counters and runs them.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{WRAPPER, say};

/// Seeds of each simulation: enough to come everywhere, few because the counters make everything slower.
const SEEDS: &str = "4";

/// Runs all tests of these packages, built with these features. The test programs, each with the file its counters are in.
pub(crate) fn tests(
    root: &Path,
    features: &str,
    packages: &[&str],
) -> Result<Vec<(PathBuf, PathBuf)>, String> {
    let programs = build(root, features, packages)?;
    let profiles = root.join("target").join("coverage");
    std::fs::create_dir_all(&profiles).map_err(|error| format!("{}: {error}", profiles.display()))?;
    let mut read = Vec::new();
    for Program { path, directory } in programs {
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        say(&format!("   {name}"));
        let profile = profiles.join(format!("{name}.profraw"));
        let status = Command::new(&path)
            .arg("--quiet")
            .current_dir(&directory)
            .env("CARGO_MANIFEST_DIR", &directory)
            .env("LLVM_PROFILE_FILE", &profile)
            .env("SEEDS", SEEDS)
            .stdout(Stdio::null())
            .status()
            .map_err(|error| format!("{name}: {error}"))?;
        if !status.success() {
            return Err(format!("a test of {name} failed; run it alone to see which"));
        }
        read.push((path, profile));
    }
    Ok(read)
}

/// A test program and the directory of its package.
struct Program {
    path: PathBuf,
    directory: PathBuf,
}

fn build(root: &Path, features: &str, packages: &[&str]) -> Result<Vec<Program>, String> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root).args(["test", "--no-run", "--lib", "--tests", "--no-default-features"]);
    command.args(["--quiet", "--message-format", "json-render-diagnostics"]);
    for package in packages {
        command.args(["--package", package]);
    }
    command.args(["--features", features]);
    command.env("RUSTC_WORKSPACE_WRAPPER", this).env(WRAPPER, "1").stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        return Err("the tests do not build".to_owned());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let mut programs: Vec<_> =
        text.lines().filter_map(|line| program(&serde_json::from_str(line).ok()?)).collect();
    // Cargo tells of them as they get ready.
    programs.sort_by(|one: &Program, other| one.path.cmp(&other.path));
    Ok(programs)
}

/// The test program that one of cargo's messages tells of, if it does.
fn program(message: &Value) -> Option<Program> {
    let is_test = message.get("profile")?.get("test")?.as_bool()?;
    let path = message.get("executable")?.as_str().filter(|_| is_test)?;
    let directory = Path::new(message.get("manifest_path")?.as_str()?).parent()?;
    Some(Program { path: path.into(), directory: directory.into() })
}
