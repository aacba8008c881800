//! `list`: what connectors there are, in their own words.

use std::io::Write as _;
use std::process::{ExitCode, Stdio};

use serde_json::Value;

use crate::workspace::{Build, Usage, Workspace};

/// Asks every connector to describe itself, and prints the answers.
pub(crate) fn list(workspace: &Workspace, json: bool) -> Result<ExitCode, Usage> {
    let described: Vec<Value> = workspace
        .connectors
        .iter()
        .map(|connector| describe(workspace, connector))
        .collect::<Result<_, _>>()?;
    let mut out = std::io::stdout().lock();
    // A reader that has gone away is not an error of ours.
    let _ = if json {
        writeln!(out, "{:#}", Value::Array(described))
    } else {
        described.iter().try_for_each(|one| show(&mut out, one))
    };
    Ok(ExitCode::SUCCESS)
}

fn describe(workspace: &Workspace, connector: &str) -> Result<Value, Usage> {
    let output = workspace
        .runner(connector, Build::default())
        .args(["describe", "--json"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| Usage(format!("cannot start cargo: {error}")))?;
    if !output.status.success() {
        return Err(Usage(format!("{connector} does not build or cannot describe itself; see above")));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|error| Usage(format!("{connector} described itself unreadably: {error}")))
}

fn show(out: &mut impl std::io::Write, one: &Value) -> std::io::Result<()> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let field = |name: &str| one.get(name).map(text).unwrap_or_default();
    let names = |name: &str| {
        let list = one.get(name).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        list.iter()
            .map(|item| item.get("name").map_or_else(|| text(item), text))
            .collect::<Vec<_>>()
            .join(", ")
    };
    writeln!(out, "{}  {} ({})", field("name"), field("exchange"), field("kind"))?;
    writeln!(out, "  domains       {}", names("domains"))?;
    writeln!(out, "  capabilities  {}", names("capabilities"))?;
    let rows = one.get("not_applicable").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    for row in rows {
        let part = |name: &str| row.get(name).map(text).unwrap_or_default();
        writeln!(out, "  N/A           {} – {}", part("row"), part("reason"))?;
    }
    Ok(())
}
