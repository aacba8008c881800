//! From method and path to the row that declares the request, and what it costs.

use connector_core::dialect::{Cost, Row};
use connector_core::wire::HttpRequest;

use crate::exchange::Exchange;
use crate::face::{Call, Denied, Face};
use crate::fields::{Fields, percent_decode};
use crate::limits::ScopeKey;
use crate::orders::AccountId;

/// The rows of a face: the connector's own first, then the face's further ones.
#[derive(Clone, Debug)]
pub struct Router {
    rows: Vec<&'static Row>,
}

impl Router {
    /// The routes of a face.
    #[must_use]
    pub fn of(face: &dyn Face) -> Self {
        Self { rows: face.rest().rows().chain(face.extra()).collect() }
    }

    /// The row of this name.
    #[must_use]
    pub fn row(&self, name: &str) -> Option<&'static Row> {
        self.rows.iter().find(|row| row.name == name).copied()
    }

    /// Finds the row of a request and reads its parameters. Exact paths win over paths with placeholders; among rows of the
    /// same method and path, the first wins unless the face names another ([`Face::distinguish`]).
    ///
    /// # Errors
    /// [`Denied::NoRoute`] or [`Denied::WrongMethod`].
    pub fn find(&self, face: &dyn Face, request: &HttpRequest) -> Result<(&'static Row, Fields), Denied> {
        let mut fields = Fields::of(request);
        if let Some(row) = face.distinguish(request, &fields).and_then(|name| self.row(name)) {
            return Ok((row, fields));
        }
        let exact = |row: &&&'static Row| row.method == request.method && row.path == request.path;
        if let Some(row) = self.rows.iter().find(exact) {
            return Ok((row, fields));
        }
        let mut known = false;
        for row in &self.rows {
            let Some(values) = placeholders(row.path, &request.path) else { continue };
            if row.method == request.method {
                for (name, value) in values.into_iter().rev() {
                    fields.put_first(name, value);
                }
                return Ok((row, fields));
            }
            known = true;
        }
        Err(if known { Denied::WrongMethod } else { Denied::NoRoute })
    }
}

impl Call<'_> {
    /// Charges the row's pools of scope account, once it is known whose request it is; remembers the account, so that the
    /// answer tells what is used. Where the row's costs name a pool of orders, do not call [`Exchange::charge_order`] as well.
    ///
    /// # Errors
    /// A pool is used up or the account is banned; nothing more is charged then.
    pub fn charge_account(&self, exchange: &mut Exchange, account: AccountId) -> Result<(), Denied> {
        self.account.set(Some(account));
        charge(exchange, self.row.costs, |name| self.fields.get(name), ScopeKey::Account(account))
    }
}

/// Charges the costs whose pools count by the scope of `key`. Faces call this for requests that come over a stream.
///
/// # Errors
/// A pool is used up or `key` is banned; nothing more is charged then.
pub fn charge<'p>(
    exchange: &mut Exchange,
    costs: &[Cost],
    param: impl Fn(&str) -> Option<&'p str>,
    key: ScopeKey,
) -> Result<(), Denied> {
    for cost in costs {
        let mut pools = exchange.limits().pools().map(|(pool, _)| *pool);
        let Some(pool) = pools.find(|pool| pool.name == cost.pool && pool.scope == key.scope()) else {
            continue;
        };
        drop(pools);
        let charged = exchange.charge(pool.name, key, cost.weight.of(&param));
        if charged.over {
            let retry_after = charged.retry_after;
            return Err(match charged.banned_until {
                Some(until) => Denied::Banned { until, retry_after },
                None => Denied::Limit { pool, retry_after },
            });
        }
    }
    Ok(())
}

/// The values of the `<name>` segments of `pattern` in `path`, decoded, if the path fits.
fn placeholders<'p>(pattern: &'p str, path: &str) -> Option<Vec<(&'p str, String)>> {
    let (mut wanted, mut given) = (pattern.split('/'), path.split('/'));
    let mut values = Vec::new();
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return Some(values),
            (Some(wanted), Some(given)) => match wanted.strip_prefix('<').and_then(|w| w.strip_suffix('>')) {
                Some(name) if !given.is_empty() => values.push((name, percent_decode(given))),
                None if wanted == given => {}
                _ => return None,
            },
            _ => return None,
        }
    }
}
