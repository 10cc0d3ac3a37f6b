//! From where the application's code is executed: from a snapshot, if one can be had.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use config::{App, Env, HostingModel};
use control::ToSupervisor;
use lifecycle::event::Level;
use lifecycle::{Code, StartReport};
use shim::report;
use snapshot::{Refusal, Request, Snapshot};

use crate::supervisor::Supervisor;

/// The application runs from its folder, although it was not asked to.
const NO_SNAPSHOT: u16 = 1127;
/// What is copied without being asked for. More takes seconds on a file system that shares no
/// blocks.
const MOST_BYTES: u64 = 1 << 30;
/// How long files may go on changing; who deploys so slowly is better served by another attempt.
const PATIENCE: Duration = Duration::from_secs(20);

/// Takes a snapshot of the code of `app`, unless that is not wanted, and has it executed from there.
/// The snapshot is ours for as long as the process lives.
///
/// # Errors
/// The files go on changing: whatever ran would be a mixture.
pub(crate) fn settle(
    app: &mut App,
    supervisor: &Supervisor,
) -> Result<Option<Snapshot>, Box<StartReport>> {
    let settings = &app.settings.handler_settings;
    let wish = settings.enable_shadow_copy;
    let can_move = match app.settings.hosting_model {
        HostingModel::InProcess => true,
        HostingModel::OutOfProcess => outofprocess::can_be_moved(app, &crate::own_folder()),
    };
    if wish == Some(false) || !(can_move || wish == Some(true)) {
        return Ok(None);
    }
    let taken = match can_move {
        true => take(app, wish.is_some()),
        false => Err(Refusal::NoPlace("only programs of .NET are run from another folder".into())),
    };
    let reason = match taken {
        Ok(snapshot) if move_to(app, snapshot.dir()) => {
            supervisor.tell(&ToSupervisor::Snapshot {
                dir: snapshot.dir().display().to_string(),
                files: snapshot.files(),
                bytes: snapshot.bytes(),
                took_ms: u64::try_from(snapshot.took().as_millis()).unwrap_or(u64::MAX),
            });
            return Ok(Some(snapshot));
        }
        Ok(snapshot) => {
            let place = snapshot.dir().parent().map(Path::to_owned).unwrap_or_default();
            drop(snapshot);
            snapshot::clear(&place);
            "what is started is not in its folder".to_owned()
        }
        Err(Refusal::ReadOnly) => return Ok(None),
        Err(refusal @ Refusal::Changing(_)) => {
            let report = report::of_app(app, Code::General, refusal.to_string());
            let advice = "wait for the end of the deployment: the start is tried again by itself";
            return Err(Box::new(report.suggest(advice)));
        }
        Err(refusal) => refusal.to_string(),
    };
    let text = format!(
        "the application runs from its folder, which must not be overwritten in place while it \
         runs: {reason} (handlerSetting enableShadowCopy)"
    );
    supervisor.tell(&ToSupervisor::Log { event: NO_SNAPSHOT, level: Level::Warning, text });
    Ok(None)
}

fn take(app: &App, is_wished: bool) -> Result<Snapshot, Refusal> {
    let written = app.settings.handler_settings.shadow_copy_directory.as_deref();
    let env = Env::of_process();
    let places = snapshot::places(&app.dir, written, |name| env.non_empty(name).map(str::to_owned));
    Snapshot::take(Request {
        app: &app.dir,
        places: &places,
        is_written: written.is_some(),
        most_bytes: if is_wished { u64::MAX } else { MOST_BYTES },
        patience: PATIENCE.min(app.settings.startup_time_limit / 2),
    })
}

/// Has program and assembly started from `snapshot`; whether either is there.
fn move_to(app: &mut App, snapshot: &Path) -> bool {
    let moved = |text: &str| {
        let below = app.dir.join(text).strip_prefix(&app.dir).map(Path::to_owned).ok()?;
        let below: PathBuf = below.components().filter(|it| *it != Component::CurDir).collect();
        let is_plain = below.components().all(|it| matches!(it, Component::Normal(_)));
        let path = snapshot.join(&below);
        // A link would lead back into the folder.
        let is_copy = |path: &Path| path.symlink_metadata().is_ok_and(|it| it.is_file());
        let assembly = format!("{}.dll", text.strip_suffix(".exe").unwrap_or(text));
        let is_there = is_copy(&path) || is_copy(&path.with_file_name(file_name(&assembly)));
        (is_plain && is_there).then(|| path.display().to_string())
    };
    let is_assembly = |text: &str| {
        let extension = Path::new(text).extension().unwrap_or_default();
        extension.eq_ignore_ascii_case("dll") || extension.eq_ignore_ascii_case("exe")
    };
    let settings = &app.settings;
    let program = moved(&settings.process_path);
    let mut arguments = settings.arguments.iter().enumerate();
    let assembly = arguments.find_map(|(at, text)| {
        let path = Some(text).filter(|text| is_assembly(text)).and_then(|text| moved(text))?;
        Some((at, path))
    });
    let is_moved = program.is_some() || assembly.is_some();
    if let Some(program) = program {
        app.settings.process_path = program;
    } else if let Some((at, assembly)) = assembly {
        app.settings.arguments[at] = assembly;
    }
    if is_moved {
        app.snapshot = Some(snapshot.to_owned());
    }
    is_moved
}

fn file_name(text: &str) -> &str {
    text.rsplit('/').next().unwrap_or(text)
}
