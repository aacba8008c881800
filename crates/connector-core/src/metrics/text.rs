//! The families whose values are exact decimals. The library writes binary fractions only; the format itself is decimal.

use std::fmt::{self, Display, Write};

use super::{FeeLine, Volume, VolumeLine};

/// A label's value, escaped.
struct Escaped<T>(T);

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.to_string().chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// Writes one family of counters, a line per pair and side.
fn filled<V: Display>(
    out: &mut String,
    volume: &Volume,
    name: &str,
    help: &str,
    value: impl Fn(&VolumeLine) -> V,
) -> fmt::Result {
    write!(out, "# HELP connector_{name} {help}.\n# TYPE connector_{name} counter\n")?;
    for line in &volume.filled {
        let (account, pair) = (Escaped(&line.account), Escaped(&line.pair));
        writeln!(
            out,
            "connector_{name}_total{{venue=\"{}\",account=\"{account}\",pair=\"{pair}\",side=\"{}\"}} {}",
            line.venue,
            line.side,
            value(line)
        )?;
    }
    Ok(())
}

pub(super) fn write(out: &mut String, volume: &Volume) -> fmt::Result {
    filled(out, volume, "fills", "Fills", |line| line.fills)?;
    filled(out, volume, "filled_base", "Base amount filled", |line| line.base)?;
    filled(out, volume, "filled_quote", "Price times amount filled, fees excluded", |line| line.quote)?;
    // No counter, because rebates lower it, and charges that are lower than their estimates.
    out.write_str("# HELP connector_fees Fees paid less rebates.\n# TYPE connector_fees gauge\n")?;
    for FeeLine { venue, account, asset, amount } in &volume.fees {
        let (account, asset) = (Escaped(account), Escaped(asset));
        writeln!(
            out,
            "connector_fees{{venue=\"{venue}\",account=\"{account}\",asset=\"{asset}\"}} {amount}"
        )?;
    }
    Ok(())
}
