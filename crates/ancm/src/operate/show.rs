//! [`Status`] for people: one screen.

use std::io;

use control::operator::{
    GenerationStatus, ProcessStatus, RefusedPart, Serves, SiteState, Stage, Status,
};
use lifecycle::report::printable;

/// Writes it, without colours: what reads it may be a log.
pub(super) fn write(status: &Status, out: &mut dyn io::Write) -> io::Result<()> {
    let app = printable(&status.app);
    let up = duration(status.up_seconds);
    writeln!(out, "{app}: {} ({}), up {up}", site(status.state), status.hosting_model)?;
    let mut line = |name: &str, value: &str| writeln!(out, "  {name:<13}{}", printable(value));
    line("folder", &status.dir)?;
    for address in &status.addresses {
        line("listening", address)?;
    }
    let supervisor = &status.supervisor;
    let memory = bytes(supervisor.memory_bytes);
    line("supervisor", &format!("pid {}, {memory}, ancm {}", supervisor.pid, status.ancm))?;
    if let Some(failure) = &status.last_failure {
        line("last failure", &format!("{} {}", failure.code, failure.summary))?;
        line("", &format!("at {}, reference {}", failure.time, failure.reference))?;
        let why = failure.retry_waits_because.as_ref().map(|why| format!(": {why}"));
        match (failure.retry_in_seconds, why) {
            (Some(seconds), why) => {
                let why = why.unwrap_or_default();
                line("", &format!("tried again in {}{why}", duration(seconds)))?;
            }
            (None, Some(why)) => line("", &format!("not tried again{why}"))?,
            (None, None) => {}
        }
    }
    if let Some(shortage) = &status.memory_shortage {
        let [needed, available] = [shortage.needed_bytes, shortage.available_bytes].map(bytes);
        line("no overlap", &format!("{needed} needed for it, {available} available"))?;
    }
    if let Some(refused) = &status.configuration_refused {
        let (since, ago) = (&refused.since, duration(refused.since_seconds));
        line("refused", &format!("the configuration on disk, since {since} ({ago})"))?;
        line("", "what runs, runs as it was before:")?;
        for part in &refused.findings {
            line("", &place(part))?;
            for (name, text) in [("expected:", &part.expected), ("instead:", &part.suggestion)] {
                if let Some(text) = text {
                    line("", &format!("  {name:<9} {text}"))?;
                }
            }
        }
        let more = refused.errors.saturating_sub(refused.findings.len());
        if more > 0 {
            line("", &format!("and {more} more, see `ancm check`"))?;
        }
    }
    writeln!(out)?;
    writeln!(
        out,
        "  {:<5}{:<10}{:<9}{:>8}  {:>10}  {:>8}  {:>10}  WHY",
        "GEN", "STATE", "FOR", "PID", "MEMORY", "REQUESTS", "SO FAR"
    )?;
    status.generations.iter().try_for_each(|generation| write_generation(generation, out))
}

/// What is wrong, and where.
fn place(part: &RefusedPart) -> String {
    let at = [part.line, part.column].into_iter().flatten();
    let at: String = at.map(|number| format!(":{number}")).collect();
    format!("{}{at}: {} [{}]", part.file, part.message, part.code)
}

fn write_generation(generation: &GenerationStatus, out: &mut dyn io::Write) -> io::Result<()> {
    let what = match generation.serves {
        Serves::App => "",
        Serves::Offline => " (app_offline.htm)",
        Serves::Page => " (error page)",
        Serves::Stopped => " (503)",
    };
    writeln!(
        out,
        "  {:<5}{:<10}{:<9}{:>8}  {:>10}  {:>8}  {:>10}  {}{what}",
        generation.id.to_string(),
        stage(generation.state),
        duration(generation.since_seconds),
        generation.worker.pid,
        bytes(generation.worker.memory_bytes),
        count(generation.requests_in_flight),
        count(generation.requests_taken),
        printable(&generation.why),
    )?;
    let mut child = |child: &ProcessStatus| {
        let (name, memory) = (printable(&child.name), bytes(child.memory_bytes));
        writeln!(out, "       {name:<19}{:>8}  {memory:>10}", child.pid)
    };
    generation.children.iter().try_for_each(&mut child)?;
    if let Some(ends) = &generation.backend_ends {
        let (count, last) = (ends.count, &ends.last);
        writeln!(out, "       backends ended: {count}, last at {last}: {}", printable(&ends.text))?;
    }
    match &generation.snapshot {
        Some(dir) => writeln!(out, "       code in {}", printable(dir)),
        None => Ok(()),
    }
}

const fn site(state: SiteState) -> &'static str {
    match state {
        SiteState::Failed => "could not be started",
        SiteState::Idle => "idle",
        SiteState::Offline => "offline",
        SiteState::Serving => "serving",
        SiteState::Starting => "starting",
        SiteState::Stopped => "stopped",
        SiteState::Stopping => "stopping",
    }
}

const fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Draining => "draining",
        Stage::Failing => "failing",
        Stage::Leaving => "leaving",
        Stage::Serving => "serving",
        Stage::Starting => "starting",
    }
}

fn count(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), |count| count.to_string())
}

fn bytes(bytes: u64) -> String {
    const MIB: f64 = 1_048_576.0;
    format!("{:.1} MiB", bytes as f64 / MIB)
}

/// The two largest units.
fn duration(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, 1..10) => format!("{minutes} m {} s", seconds % 60),
        (0, 0, _) => format!("{minutes} m"),
        (0, ..) => format!("{hours} h {} m", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_two_units() {
        for (seconds, expected) in
            [(0, "0 s"), (61, "1 m 1 s"), (601, "10 m"), (7300, "2 h 1 m"), (200_000, "2 d 7 h")]
        {
            assert_eq!(duration(seconds), expected);
        }
    }
}
