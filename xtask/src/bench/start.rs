//! From the start of the program to its first answer, in processes of their own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{
    contender::{Contender, Stage},
    report::median,
    table::aligned,
};

/// Starts per contender; the first fills the page cache and is not counted.
const STARTS: usize = 7;
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(30);

/// A table of medians, from the last of `contenders`' processes started to the first answer.
pub(super) fn measure(
    stage: &Stage<'_>,
    contenders: &[Contender],
    mut progress: impl FnMut(&str),
) -> Result<String> {
    let mut all = vec![Vec::new(); contenders.len()];
    for number in 0..STARTS {
        for (contender, times) in contenders.iter().zip(&mut all) {
            progress(&format!("  start: {} {}", contender.name, number + 1));
            let time = start_once(stage, contender)
                .with_context(|| format!("starting {}", contender.name))?;
            if number > 0 {
                times.push(time.as_secs_f64() * 1000.0);
            }
        }
    }
    let row = |cells: [String; 4]| cells.to_vec();
    let mut rows = vec![row(["", "median ms", "least ms", "most ms"].map(str::to_owned))];
    for (contender, times) in contenders.iter().zip(&all) {
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);
        let most = times.iter().copied().fold(0.0, f64::max);
        let show = |value: f64| format!("{value:.0}");
        let name = contender.name.to_owned();
        rows.push(row([name, show(median(times)), show(least), show(most)]));
    }
    Ok(format!("start: from exec to the first answer, {STARTS} starts\n\n{}", aligned(&rows)))
}

fn start_once(stage: &Stage<'_>, contender: &Contender) -> Result<Duration> {
    let begun = Instant::now();
    let mut server = stage.launch(contender)?;
    loop {
        if server.is_answering()? {
            return Ok(begun.elapsed());
        }
        if begun.elapsed() > LIMIT {
            bail!("no answer within {} s", LIMIT.as_secs());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
