//! `ancm deploy` and `ancm rollback`: another version takes the place of the one in a folder.
//!
//! What is new is put together beside the folder, then the two change places in one step; whoever
//! looks finds one version or the other. The version before stays beside, ready to come back: by
//! itself when the new one does not serve, by `rollback` later.

mod content;
mod place;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use config::{App, Env, Overrides, Severity};
use control::operator::Asked;
use lifecycle::exit;
use lifecycle::report::{StartReport, printable};

use self::content::Counted;
use self::place::Place;
use crate::operate::{self, Followed};
use crate::output::{Output, Stream};

/// Why nothing was deployed.
#[derive(Debug, thiserror::Error)]
enum DeployError {
    /// Somebody else deploys into the folder.
    #[error("another deployment into {} is going on", .0.display())]
    Busy(PathBuf),
    /// The configuration of the new version has errors, which were told.
    #[error("the new version cannot be started ({0} errors); nothing was changed")]
    Findings(usize),
    /// A file or folder cannot be used.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// There is no version to go back to.
    #[error("no version before the one in {} is known; `ancm deploy` leaves one", .0.display())]
    NoVersionBefore(PathBuf),
    /// The new version does not serve. The one before is there again.
    #[error("{text}; the version before is in {} again", dir.display())]
    NotServing {
        /// What the supervisor says.
        text: String,
        /// About the start.
        report: Option<Box<StartReport>>,
        /// The application's folder.
        dir: PathBuf,
    },
    /// Source and target are the same, or one is inside the other.
    #[error("{} and {} must not be one inside the other", .0.display(), .1.display())]
    Overlap(PathBuf, PathBuf),
    /// As above, and the way back is barred.
    #[error("{text}; the version before is in {} and cannot be put back: {error}", version.display())]
    Stuck {
        /// What the supervisor says.
        text: String,
        /// Where it is.
        version: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// Names the file for an error of the system.
fn at(path: &Path) -> impl FnOnce(io::Error) -> DeployError {
    let path = path.to_owned();
    move |error| DeployError::Io { path, error }
}

/// Puts the version in the folder `new` into the folder `dir`; answers the exit code.
pub(crate) fn deploy(new: &Path, dir: &Path) -> u8 {
    let mut output = Output::new();
    let done = deploy_to(new, dir, &mut output);
    end(done, output)
}

/// Puts the version before back into the folder `dir`; answers the exit code.
pub(crate) fn rollback(dir: &Path) -> u8 {
    let mut output = Output::new();
    let done = roll_back(dir, &mut output);
    end(done, output)
}

fn end(done: Result<String, DeployError>, mut output: Output) -> u8 {
    let code = match done {
        Ok(text) => {
            output.line(Stream::Stdout, &printable(&text));
            exit::OK
        }
        Err(error) => {
            output.tell(printable(&error.to_string()));
            match error {
                DeployError::Io { .. } => {
                    output.tell("nothing was changed");
                    exit::FAILED
                }
                DeployError::NotServing { report: Some(report), .. } => {
                    output.tell(report.to_string().trim_end());
                    exit::FAILED
                }
                DeployError::Overlap(..) => exit::USAGE,
                DeployError::Findings(_) => exit::REFUSED,
                _ => exit::FAILED,
            }
        }
    };
    output.finish();
    code
}

fn deploy_to(new: &Path, dir: &Path, output: &mut Output) -> Result<String, DeployError> {
    let real_new = new.canonicalize().map_err(at(new))?;
    let place = Place::open(dir)?;
    let app = place.app();
    if real_new.starts_with(app) || app.starts_with(&real_new) {
        return Err(DeployError::Overlap(real_new, app.to_owned()));
    }
    let staging = place.staging()?;
    let copied = content::copy(&real_new, &staging, app);
    let copied = copied.and_then(|copied| check(&staging, output).map(|()| copied));
    let copied = copied.inspect_err(|_| place.abandon())?;
    let copied = format!("{} files, {:.1} MiB copied", copied.files, mib(&copied));
    if !app.exists() {
        place.settle_first(&staging)?;
        return Ok(format!("{copied}; {} is new", app.display()));
    }
    let kept = content::keep(app, &staging, &BTreeSet::new()).inspect_err(|_| place.abandon())?;
    place.complete(&staging)?;
    let followed = switch(&place, dir, Asked::Deploy, &kept, output)?;
    Ok(format!("{copied}, {} kept; {followed}", kept.len()))
}

fn roll_back(dir: &Path, output: &mut Output) -> Result<String, DeployError> {
    let place = Place::open(dir)?;
    let version = place.bring_back()?;
    let kept =
        content::keep(place.app(), &version, &BTreeSet::new()).inspect_err(|_| place.abandon())?;
    let followed = switch(&place, dir, Asked::Rollback, &kept, output)?;
    Ok(format!("the version before is back; {followed}"))
}

/// Has the prepared version change places with the one in the folder, and the site follow it. What
/// came into the old folder meanwhile is kept as well.
fn switch(
    place: &Place,
    dir: &Path,
    by: Asked,
    kept: &BTreeSet<PathBuf>,
    output: &mut Output,
) -> Result<String, DeployError> {
    place.exchange()?;
    let text = match operate::follow(dir, by, output) {
        Ok(Followed::Serves(text)) => text,
        Ok(Followed::Nobody) => {
            "nothing that this user may ask serves the folder, so nobody has tried \
                                 it; a supervisor of another user follows by itself"
                .to_owned()
        }
        Ok(Followed::Away(text)) => text,
        Err((text, report)) => {
            if let Err(error) = place.exchange_back() {
                return Err(DeployError::Stuck { text, version: place.next(), error });
            }
            // Who has tried the new version in vain is told what to go on with.
            let _ = operate::follow(dir, Asked::Rollback, output);
            place.abandon();
            return Err(DeployError::NotServing { text, report, dir: place.app().to_owned() });
        }
    };
    // What is not kept now is in the version before, and was not there when it was looked through.
    let late = content::keep(&place.next(), place.app(), kept);
    if let Err(error) = late {
        output.tell(format_args!("what came in meanwhile is in the version before only: {error}"));
    }
    if let Err(error) = place.finish() {
        output.tell(format_args!("the version before is not in order: {error}"));
    }
    Ok(text)
}

/// Tells what prevents a start of the version in `staging`.
fn check(staging: &Path, output: &mut Output) -> Result<(), DeployError> {
    let loaded = App::load(staging, Overrides::default(), &Env::of_process());
    let errors = loaded.findings.iter().filter(|finding| finding.severity == Severity::Error);
    let count = errors.inspect(|finding| output.tell(finding)).count();
    if count == 0 { Ok(()) } else { Err(DeployError::Findings(count)) }
}

fn mib(counted: &Counted) -> f64 {
    counted.bytes as f64 / 1_048_576.0
}

/// Device and inode: which folder it is, whatever it is called.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    let found = fs::metadata(path)?;
    Ok((found.dev(), found.ino()))
}
