//! What is in force, what is held, what is confirmed.
//!
//! A retention that becomes shorter ends what is stored already, so it is not put in force at once: first it is counted
//! what it would end. Up to 1,000 sessions it comes into force by itself, above that it waits for an operator. The rest
//! of a reload does not wait. What was last in force is kept with the data, so that a restart with another file is
//! treated the same.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::directory::Directory;
use super::super::settings::Settings;
use super::count::ReleaseChange;
use super::sweep::SweepStatus;
use super::{MOST_ENDED_AT_ONCE, SWEEP_RATE, count, sweep};
use crate::actors::CallerKeys;
use crate::config::Config;
use crate::domain::duration;
use crate::domain::ids::ReleaseId;
use crate::domain::refusal::{Reason, Refusal};
use crate::domain::session::{Retention, Rules};
use crate::store::{Due, ScanCursor, Store, StoreError};

/// The retention of all releases.
pub(in crate::actors) struct Keeper {
    state: Mutex<State>,
}

struct State {
    in_force: HashMap<ReleaseId, Retention>,
    change: Option<Change>,
    sweep: Option<SweepStatus>,
    /// Raised when a change or a sweep takes the place of another, whose work in the background ends then.
    change_turn: u64,
    sweep_turn: u64,
}

/// A shorter retention that is not in force yet.
struct Change {
    releases: Vec<ReleaseChange>,
    held: bool,
    records: u64,
    ends: u64,
}

/// A change that is not in force yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeStatus {
    /// Whether it waits for an operator; otherwise it is still counted what it would end.
    pub held: bool,
    /// The releases whose retention becomes shorter.
    pub releases: Vec<ReleaseChange>,
    /// Session records read for it.
    pub records: u64,
    /// Sessions of which it would end something at once. Not counted further than is needed to hold it.
    pub ends: u64,
}

/// How it stands with retention.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RetentionStatus {
    /// A change that is not in force yet.
    pub change: Option<ChangeStatus>,
    /// A sweep that is going on.
    pub sweep: Option<SweepStatus>,
    /// Releases that are not configured any more and keep their last retention.
    pub unconfigured: Vec<ReleaseId>,
}

impl Keeper {
    /// Knows what was last in force, and takes a configuration over. With the settings comes the turn of a change that is
    /// to be counted.
    pub(in crate::actors) fn open(store: &Store, config: Config) -> Result<(Self, Settings, Option<u64>), StoreError> {
        let in_force = store.retentions()?.into_iter().collect();
        let mut state = State { in_force, change: None, sweep: None, change_turn: 0, sweep_turn: 0 };
        let (settings, to_count) = state.adopt(store, config, None)?;
        Ok((Self { state: Mutex::new(state) }, settings, to_count))
    }
}

impl State {
    /// The settings of a configuration. What of its retention ends nothing earlier is in force with them, durably; the
    /// rest is a change that is to be counted.
    fn adopt(
        &mut self,
        store: &Store,
        config: Config,
        before: Option<&Settings>,
    ) -> Result<(Settings, Option<u64>), StoreError> {
        let mut at_once = Vec::new();
        let mut shorter = Vec::new();
        for rules in all_rules(&config) {
            let wanted = rules.retention();
            match self.in_force.get(&rules.release) {
                Some(in_force) if *in_force == wanted => {}
                Some(in_force) if wanted.ends_earlier_than(in_force) => {
                    shorter.push(ReleaseChange { release: rules.release, in_force: *in_force, wanted });
                }
                _ => at_once.push((rules.release, wanted)),
            }
        }
        if !at_once.is_empty() {
            store.put_retentions(&at_once, false)?;
            self.in_force.extend(at_once);
        }
        self.change_turn += 1;
        let held = self.change.take().filter(|change| change.held && change.releases == shorter);
        let mut to_count = None;
        if held.is_some() {
            self.change = held;
        } else if !shorter.is_empty() {
            self.change = Some(Change { releases: shorter, held: false, records: 0, ends: 0 });
            to_count = Some(self.change_turn);
        }
        Ok((Settings::new(config, before, &self.in_force), to_count))
    }

    fn begin_sweep(&mut self) -> u64 {
        self.sweep_turn += 1;
        self.sweep = Some(SweepStatus::default());
        self.sweep_turn
    }
}

fn all_rules(config: &Config) -> impl Iterator<Item = Rules> {
    let releases =
        config.tenants.iter().flat_map(|tenant| tenant.releases.iter().map(move |release| (tenant, release)));
    releases.filter_map(|(tenant, release)| config.rules(&tenant.id, &release.instance))
}

impl Directory {
    /// Puts another configuration in force, but for a shorter retention, which is counted first. May block on the disk.
    ///
    /// # Errors
    /// When a new release cannot be registered in the store, or its retention cannot be noted.
    pub fn reload(self: &Arc<Self>, config: Config, keys: CallerKeys) -> Result<(), StoreError> {
        let mut state = self.keeper().state.lock();
        let (settings, to_count) = state.adopt(self.store(), config, Some(&self.settings()))?;
        self.put_settings(settings, Some(keys))?;
        drop(state);
        self.begin_count(to_count);
        self.tell_unconfigured();
        Ok(())
    }

    /// Takes up what a change before the start has left to do.
    pub(in crate::actors) fn resume_retention(self: &Arc<Self>, to_count: Option<u64>) -> Result<(), StoreError> {
        self.begin_count(to_count);
        if let Some(from) = self.store().sweep()? {
            tracing::info!("sessions are gone through because of a changed retention: this goes on");
            let turn = self.keeper().state.lock().begin_sweep();
            self.begin_sweep(turn, from);
        }
        self.tell_unconfigured();
        Ok(())
    }

    fn tell_unconfigured(&self) {
        for release in self.settings().unconfigured() {
            tracing::warn!(
                tenant = %release.tenant, instance_id = %release.instance,
                "this release is not configured any more: its sessions keep their last retention"
            );
        }
    }

    fn begin_count(self: &Arc<Self>, turn: Option<u64>) {
        if let Some(turn) = turn {
            tracing::info!("a retention is shorter than the one in force: it is counted what that would end");
            self.in_background(count::run(self.clone(), turn));
        }
    }

    fn begin_sweep(self: &Arc<Self>, turn: u64, from: ScanCursor) {
        self.in_background(sweep::run(self.clone(), turn, from));
    }

    /// The change that is to be counted, unless another has taken its place.
    pub(super) fn change_to_count(&self, turn: u64) -> Option<Vec<ReleaseChange>> {
        let state = self.keeper().state.lock();
        let change = state.change.as_ref().filter(|_| state.change_turn == turn)?;
        Some(change.releases.clone())
    }

    /// Notes how far the count has come; false if another change has taken the place of this one.
    pub(super) fn note_count(&self, turn: u64, read: u64, ended: u64) -> bool {
        let mut state = self.keeper().state.lock();
        let is_current = state.change_turn == turn;
        if let Some(change) = state.change.as_mut().filter(|_| is_current) {
            change.records = read;
            change.ends = ended;
            return true;
        }
        false
    }

    /// Everything is counted, or more than can be let through.
    pub(super) fn counted(self: &Arc<Self>, turn: u64, is_harmless: bool) {
        let mut state = self.keeper().state.lock();
        if state.change_turn != turn {
            return;
        }
        if is_harmless {
            // What fails here has ended writing already, and with it the daemon.
            let _ended = self.put_change_in_force(&mut state);
        } else if let Some(change) = &mut state.change {
            change.held = true;
            for ReleaseChange { release, in_force, wanted } in &change.releases {
                tracing::error!(
                    tenant = %release.tenant, instance_id = %release.instance, in_force = described(in_force),
                    wanted = described(wanted),
                    "a shorter retention is held because it would end more than {MOST_ENDED_AT_ONCE} sessions at once: \
                     see `recalld retention review --held`, then `recalld retention confirm` or correct the file"
                );
            }
        }
    }

    fn put_change_in_force(self: &Arc<Self>, state: &mut State) -> Result<Vec<ReleaseChange>, StoreError> {
        let Some(change) = state.change.take() else { return Ok(Vec::new()) };
        let wanted: Vec<_> = change.releases.iter().map(|change| (change.release.clone(), change.wanted)).collect();
        self.store().put_retentions(&wanted, true)?;
        state.in_force.extend(wanted);
        state.change_turn += 1;
        let before = self.settings();
        let settings = Settings::new(Config::clone(&before.config), Some(&before), &state.in_force);
        self.put_settings(settings, None)?;
        for ReleaseChange { release, wanted, .. } in &change.releases {
            tracing::info!(
                tenant = %release.tenant, instance_id = %release.instance, retention = described(wanted),
                "a shorter retention is in force: what has ended by it is not shown from now on, and removed at \
                 {SWEEP_RATE} sessions a second"
            );
        }
        let turn = state.begin_sweep();
        self.begin_sweep(turn, ScanCursor::default());
        Ok(change.releases)
    }

    /// Puts a held retention in force. Reads are exact at once; removal follows. May block on the disk.
    ///
    /// # Errors
    /// `invalid_params` when nothing is held.
    pub fn confirm_retention(self: &Arc<Self>) -> Result<Vec<ReleaseChange>, Refusal> {
        let mut state = self.keeper().state.lock();
        match &state.change {
            None => Err(Refusal::new(Reason::InvalidParams, "no retention is held: there is nothing to confirm")),
            Some(change) if !change.held => {
                let detail = "it is still counted what the shorter retention would end: look at `recalld status`";
                Err(Refusal::new(Reason::InvalidParams, detail))
            }
            Some(_) => self.put_change_in_force(&mut state).map_err(|error| {
                tracing::error!("{error}");
                Refusal::new(Reason::Internal, "the retention cannot be stored: see the daemon's log")
            }),
        }
    }

    /// How it stands with retention.
    #[must_use]
    pub fn retention_status(&self) -> RetentionStatus {
        let settings = self.settings();
        let state = self.keeper().state.lock();
        let change = state.change.as_ref().map(|change| ChangeStatus {
            held: change.held,
            releases: change.releases.clone(),
            records: change.records,
            ends: change.ends,
        });
        let unconfigured = settings.unconfigured().into_iter().cloned().collect();
        RetentionStatus { change, sweep: state.sweep, unconfigured }
    }

    /// Notes how far a sweep has come, in the store too; false if another has taken its place. May block on the disk.
    pub(super) fn note_sweep(
        &self,
        turn: u64,
        status: SweepStatus,
        earlier: &[Due],
        next: Option<&ScanCursor>,
    ) -> Result<bool, StoreError> {
        let mut state = self.keeper().state.lock();
        if state.sweep_turn != turn {
            return Ok(false);
        }
        self.store().put_sweep(earlier, next)?;
        state.sweep = next.map(|_| status);
        Ok(true)
    }
}

/// A retention in the words of the configuration.
fn described(retention: &Retention) -> String {
    let limit = retention.user_idle_limit.map_or_else(|| "none".to_owned(), duration::format);
    format!(
        "session_retention {}, user_idle_limit {limit}, anonymous_sessions {}",
        duration::format(retention.session_retention),
        retention.anonymous_sessions.as_str()
    )
}
