//! From the start of the program to its first answer, in processes of their own.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use super::{
    contender::{Contender, Stage},
    report::median,
    table::aligned,
};

/// Starts per contender; the first fills the page cache and is not counted.
const STARTS: usize = 7;
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(30);

/// How long the starts of one contender took.
#[derive(Serialize)]
pub(super) struct Starts {
    contender: &'static str,
    median_ms: f64,
    ms: Vec<f64>,
}

/// From the last of `contenders`' processes started to the first answer.
pub(super) fn measure(
    stage: &Stage<'_>,
    contenders: &[Contender],
    mut progress: impl FnMut(&str),
) -> Result<Vec<Starts>> {
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
    let starts = contenders.iter().zip(all);
    let starts = starts.map(|(contender, ms)| Starts {
        contender: contender.name,
        median_ms: median(&ms),
        ms,
    });
    Ok(starts.collect())
}

/// One line per contender.
pub(super) fn to_text(all: &[Starts]) -> String {
    let mut rows = vec![["", "median ms", "least ms", "most ms"].map(str::to_owned).to_vec()];
    rows.extend(all.iter().map(|it| {
        let least = it.ms.iter().copied().fold(f64::INFINITY, f64::min);
        let most = it.ms.iter().copied().fold(0.0, f64::max);
        let show = |value: f64| format!("{value:.0}");
        vec![it.contender.to_owned(), show(it.median_ms), show(least), show(most)]
    }));
    let counted = STARTS - 1;
    format!("start: from exec to the first answer, {counted} starts\n\n{}", aligned(&rows))
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
