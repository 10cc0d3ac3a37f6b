//! The configuration of a site that runs: read again, taken over or refused.

use std::time::Duration;

use config::{App, Env, Finding, HostingModel};
use control::operator::{RefusedConfiguration, RefusedPart};
use lifecycle::site::Policy;

use super::{A_DAY, Supervisor, recycling, status};

/// A worker that watches its backend or warms up notices its own failures; it gets this long to
/// tell.
const TELL_GRACE: Duration = Duration::from_secs(2);
/// So many errors of a configuration that was refused are in `status`.
const MOST_SHOWN: usize = 10;

/// A configuration that cannot be used.
#[derive(Debug)]
pub(super) struct Refused {
    /// When the first one was refused since one could be used last.
    since: Duration,
    /// What prevents that, as it was read last.
    errors: Vec<Finding>,
}

impl Supervisor {
    /// Takes over what the configuration says now; `false` if that cannot be used, which is told, and
    /// stays known until it can.
    pub(super) fn reload(&mut self) -> bool {
        match (self.reload)(&mut self.output) {
            Ok(app) => {
                self.refused = None;
                self.adopt(app);
                true
            }
            Err(errors) => {
                let since = self.refused.take().map_or_else(|| self.now(), |it| it.since);
                self.refused = Some(Refused { since, errors });
                false
            }
        }
    }

    fn adopt(&mut self, app: App) {
        self.watch.list(&app.settings.watched_files(&self.launch.dir), self.now());
        self.triggers.set_limits(recycling::limits(&app));
        self.site.set_policy(policy(&app, &self.launch.env));
        self.launch.app = app;
    }

    /// Whether a change of the configuration is no reason for a new generation. If one could not be had
    /// for what was wrong with it, the change may mend that.
    pub(super) const fn ignores_configuration(&self) -> bool {
        self.launch.app.settings.handler_settings.disallow_rotation_on_config_change
            && self.refused.is_none()
    }

    pub(super) fn refused_configuration(&self) -> Option<RefusedConfiguration> {
        let refused = self.refused.as_ref()?;
        let since = self.now().saturating_sub(refused.since);
        let part = |finding: &Finding| RefusedPart {
            code: finding.code.to_owned(),
            file: finding.file.clone(),
            line: finding.line,
            column: finding.column,
            message: finding.message.clone(),
            expected: finding.expected.clone(),
            suggestion: finding.suggestion.clone(),
        };
        Some(RefusedConfiguration {
            since: status::ago(since),
            since_seconds: since.as_secs(),
            errors: refused.errors.len(),
            findings: refused.errors.iter().take(MOST_SHOWN).map(part).collect(),
        })
    }
}

pub(super) fn policy(app: &App, env: &Env) -> Policy {
    let settings = &app.settings;
    let grace = match settings.hosting_model {
        HostingModel::InProcess if !settings.is_warmed_up() => Duration::ZERO,
        _ => TELL_GRACE,
    };
    Policy {
        // Who debugs a start has all day.
        start_limit: match env.non_empty(config::environment::SUSPEND_VARIABLE) {
            Some(_) => A_DAY,
            None => settings.startup_time_limit + grace,
        },
        drain_limit: settings.shutdown_time_limit,
        rapid_fails_per_minute: settings.rapid_fails_per_minute,
        repeats_late_starts: !settings.handler_settings.suppress_recycle_on_startup_timeout,
        overlap: !settings.handler_settings.disallow_overlapping_rotation,
        seed: u64::from(std::process::id()),
    }
}
