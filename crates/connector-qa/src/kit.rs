//! What every row starts from.

use std::path::PathBuf;
use std::rc::Rc;

use connector_venue::face::Face;
use connector_venue::setup::{MarketStatus, Setup};

use crate::bench::{Bench, Failure, Open};

/// What a row needs to make itself a venue.
#[derive(Clone)]
pub struct Kit {
    /// Makes the venue's face.
    pub face: Rc<dyn Fn() -> Box<dyn Face>>,
    /// Makes connectors.
    pub opener: Rc<dyn Open>,
    /// The program that runs this connector's commands, for rows that need a process besides their own.
    pub runner: PathBuf,
    /// Seed of everything that looks random.
    pub seed: u64,
}

impl Kit {
    /// A venue whose markets move only when told to.
    ///
    /// # Errors
    /// See [`Bench::quiet`].
    pub async fn quiet(&self) -> Result<Bench, Failure> {
        self.quiet_with(|_| {}).await
    }

    /// A quiet venue set up otherwise.
    ///
    /// # Errors
    /// See [`Bench::quiet`].
    pub async fn quiet_with(&self, change: impl FnOnce(&mut Setup)) -> Result<Bench, Failure> {
        Bench::quiet((self.face)(), Rc::clone(&self.opener), self.seed, change).await
    }

    /// A quiet venue whose last market is halted.
    ///
    /// # Errors
    /// See [`Bench::prepare`].
    pub async fn halted(&self) -> Result<Bench, Failure> {
        Bench::prepare((self.face)(), Rc::clone(&self.opener), self.seed, |setup| {
            for market in &mut setup.markets {
                market.live = None;
            }
            if let Some(market) = setup.markets.last_mut() {
                market.status = MarketStatus::Halted;
            }
        })
        .await
    }

    /// A venue whose markets live.
    ///
    /// # Errors
    /// See [`Bench::prepare`].
    pub async fn lively(&self) -> Result<Bench, Failure> {
        Bench::prepare((self.face)(), Rc::clone(&self.opener), self.seed, |_| {}).await
    }
}
