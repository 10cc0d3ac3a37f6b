//! Operators' commands: they find the supervisor by the folder, and wait for what they ask for.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::mpsc::channel,
    time::Duration,
};

use serde_json::Value;
use testkit::{App, Load, Model, Request, Site, Start, both_models, eventually};

/// Exit codes.
const FAILED: i32 = 5;
const NOT_RUNNING: i32 = 6;

/// What `ancm status --json` says.
pub(crate) fn status(site: &Site) -> Value {
    let ended = site.command("status", &["--json"]);
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stdout))
}

/// A copy of the application whose assembly is none.
fn break_assembly(site: &Site) {
    let dll = site.app().path("Site.dll");
    fs::write(dll.with_extension("new"), "no assembly").unwrap();
    fs::rename(dll.with_extension("new"), &dll).unwrap();
}

both_models! {
    fn status_tells_what_runs_and_why(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let told = status(&site);
        assert_eq!(told["version"], 1);
        assert_eq!(told["state"], "serving");
        assert_eq!(told["hosting_model"], model.to_string());
        assert_eq!(told["addresses"][0], site.addresses()[0]);
        assert_eq!(told["supervisor"]["pid"], site.supervisor().0);
        assert_eq!(told["last_failure"], Value::Null);
        let generation = &told["generations"][0];
        assert_eq!((&generation["id"], &generation["reason"]), (&1.into(), &"first".into()));
        assert_eq!(generation["worker"]["pid"], site.worker().0);
        let memory = generation["worker"]["memory_bytes"].as_u64().unwrap();
        assert!(memory > 1 << 20, "{memory}");
        let children = generation["children"].as_array().unwrap();
        let has_application = children.iter().any(|it| it["pid"] == site.application().0);
        assert_eq!(has_application, model == Model::OutOfProcess);

        let text = site.command("status", &[]).stdout;
        assert!(text.contains(": serving ("), "{text}");
        assert!(text.contains("the site was started"), "{text}");
        site.stop();
    }

    fn recycle_waits_until_the_new_generation_serves(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let load = Load::start(site.address(), "/HelloWorld", 2, 2);
        for number in 2..5 {
            let before = site.application();
            let ended = site.command("recycle", &[]);
            assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
            assert_eq!(ended.stdout, format!("generation {number} serves\n"));
            eventually("new connections at the new one", || {
                (site.application().0 != before.0).then_some(())
            });
        }
        load.wait_for_more(20);
        load.stop().assert_lossless();
        assert_eq!(status(&site)["generations"].as_array().unwrap().last().unwrap()["reason"], "command");
        site.wait_for_log("an operator asked for it");
        site.stop();
    }

    fn a_recycle_that_fails_says_why_and_changes_nothing(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let before = site.application();
        break_assembly(&site);
        let ended = site.command("recycle", &[]);
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.stdout);
        assert!(ended.stderr.contains("did not start: 50"), "{}", ended.stderr);
        assert!(ended.stderr.contains("reference"), "{}", ended.stderr);
        assert_eq!(site.application().0, before.0);
        let told = status(&site);
        assert_eq!(told["state"], "serving");
        assert!(told["last_failure"]["summary"].as_str().unwrap().len() > 10, "{told}");
        assert!(site.command("status", &[]).stdout.contains("last failure 50"));

        site.app().write("web.config", "<configuration>");
        let ended = site.command("recycle", &[]);
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.stdout);
        assert!(ended.stderr.contains("configuration cannot be used"), "{}", ended.stderr);
        site.stop();
    }

    fn an_offline_application_is_not_recycled(model: Model) {
        let site = Start::of(App::test("Site").model(model).file("app_offline.htm", "")).run();
        assert_eq!(status(&site)["state"], "offline");
        let ended = site.command("recycle", &[]);
        assert_eq!(ended.status.code(), Some(FAILED));
        assert!(ended.stderr.contains("app_offline.htm"), "{}", ended.stderr);
        site.stop();
    }

    fn a_stopped_application_is_answered_for_until_it_is_started(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let application = site.application();
        // A page keeps no connection waiting for a request that might come.
        let load = Load::start(site.address(), "/HelloWorld", 0, 4);
        load.wait_for_more(10);
        let ended = site.command("stop", &[]);
        assert_eq!((ended.status.code(), &*ended.stdout), (Some(0), "the application is stopped\n"));
        assert!(!application.is_alive());
        let answer = site.get("/");
        assert_eq!((answer.status(), answer.text().contains("stopped")), (503, true));
        let told = status(&site);
        assert_eq!((&told["state"], &told["is_stopped"]), (&"stopped".into(), &true.into()));
        assert_eq!(site.command("stop", &[]).status.code(), Some(0), "twice is once");
        let ended = site.command("recycle", &[]);
        assert_eq!(ended.status.code(), Some(FAILED));
        assert!(ended.stderr.contains("ancm start"), "{}", ended.stderr);

        let ended = site.command("start", &[]);
        assert!(ended.stdout.ends_with(" serves\n"), "{} {}", ended.stdout, ended.stderr);
        assert_eq!(site.get("/HelloWorld").status(), 200);
        assert_eq!(site.command("start", &[]).stdout, ended.stdout, "it serves already");
        load.wait_for_more(10);
        load.stop().assert_only(&[200, 503]);
        site.wait_for_log("an operator has stopped the application");
        site.stop();
    }

    fn a_start_that_fails_says_why(model: Model) {
        let site = Site::start(App::test("Site"), model);
        assert_eq!(site.command("stop", &[]).status.code(), Some(0));
        break_assembly(&site);
        let ended = site.command("start", &[]);
        assert_eq!(ended.status.code(), Some(FAILED), "{}", ended.stdout);
        assert!(ended.stderr.contains("did not start: 50"), "{}", ended.stderr);
        site.stop();
    }

    fn status_counts_requests(model: Model) {
        let site = Site::start(App::test("Site"), model);
        for _ in 0..5 {
            assert_eq!(site.get("/HelloWorld").status(), 200);
        }
        let mut upload = site.connect();
        upload.send(Request::post_chunked("/ReadAndWriteEchoLines", b"", 1).head());
        upload.send_chunk(b"one\n");
        upload.head();
        assert_eq!(upload.piece().unwrap().bytes, b"one\n");
        eventually("the counts", || {
            let generation = &status(&site)["generations"][0];
            let taken = generation["requests_taken"].as_u64()?;
            (taken == 6 && generation["requests_in_flight"] == 1).then_some(())
        });
        upload.send("0\r\n\r\n");
        assert!(upload.piece().is_none());
        eventually("the end of the request", || {
            (status(&site)["generations"][0]["requests_in_flight"] == 0).then_some(())
        });
        site.stop();
    }

    fn logs_are_kept_and_followed(model: Model) {
        let site = Site::start(App::misbehaving("Serve"), model);
        site.command("recycle", &[]);
        let kept = site.command("logs", &[]).stdout;
        assert!(kept.contains("listening on http://"), "{kept}");
        assert!(kept.contains("an operator asked for it"), "{kept}");
        assert_eq!(site.command("logs", &["-n", "1"]).stdout.lines().count(), 1);

        let mut follower = std::process::Command::new(testkit::env::programs().join("ancm"))
            .args(["logs", "-f", "-n", "0"])
            .arg(site.app().dir())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let (sender, lines) = channel();
        let stdout = BufReader::new(follower.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines() {
                let _ = sender.send(line.unwrap());
            }
        });
        // Lines of before it came are not shown.
        eventually("a line that is followed", || {
            site.signal("HUP");
            let line = lines.recv_timeout(Duration::from_millis(500)).ok()?;
            line.contains("a signal asks for it").then_some(())
        });
        site.stop();
        assert!(follower.wait().unwrap().success());
    }

    fn who_follows_the_log_leaves_room_for_other_commands(model: Model) {
        let site = Site::start(App::misbehaving("Serve"), model);
        let follow = || {
            let mut command = std::process::Command::new(testkit::env::programs().join("ancm"));
            command.args(["logs", "-f", "-n", "1"]).arg(site.app().dir());
            let (out, err) = (std::process::Stdio::piped(), std::process::Stdio::piped());
            command.stdout(out).stderr(err).spawn().unwrap()
        };
        let mut followers: Vec<_> = (0..8).map(|_| follow()).collect();
        for follower in &mut followers {
            let mut line = String::new();
            BufReader::new(follower.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
            assert!(!line.is_empty());
        }
        let refused = follow().wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && text.contains("followed by 8 commands"), "{text}");
        assert_eq!(site.command("status", &[]).status.code(), Some(0));
        // Who leaves makes room.
        let mut first = followers.remove(0);
        first.kill().unwrap();
        first.wait().unwrap();
        let mut next = eventually("room for another", || {
            let mut next = follow();
            let mut line = String::new();
            let _ = BufReader::new(next.stdout.as_mut().unwrap()).read_line(&mut line);
            if line.is_empty() {
                next.wait().unwrap();
            }
            (!line.is_empty()).then_some(next)
        });
        site.stop();
        for mut follower in followers {
            assert!(follower.wait().unwrap().success());
        }
        assert!(next.wait().unwrap().success());
    }

    fn after_the_supervisor_was_killed_nothing_is_left_and_the_next_start_is_clean(model: Model) {
        let run = tempfile::tempdir().unwrap();
        let mut site = Start::of(App::test("Site").model(model))
            .env("XDG_RUNTIME_DIR", run.path())
            .run();
        let tree = site.supervisor().tree();
        site.signal("KILL");
        site.wait_for_end();
        for process in tree {
            eventually(&format!("the end of {process:?}"), || (!process.is_alive()).then_some(()));
        }
        let ended = site.command("status", &[]);
        assert_eq!(ended.status.code(), Some(NOT_RUNNING), "{}", ended.stdout);
        assert!(ended.stderr.contains("nothing serves"), "{}", ended.stderr);

        let next = Start::of(App::sample("hello").model(model))
            .env("XDG_RUNTIME_DIR", run.path())
            .run();
        assert_eq!(status(&next)["state"], "serving");
        assert_eq!(sockets(&run).len(), 1);
        next.stop();
        let left: Vec<_> = fs::read_dir(run.path().join("ancm")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The control sockets below a run directory.
fn sockets(run: &tempfile::TempDir) -> Vec<PathBuf> {
    let folders = fs::read_dir(run.path().join("ancm")).unwrap().flatten();
    let files = folders.filter_map(|it| fs::read_dir(it.path()).ok()).flatten().flatten();
    let sockets = files.map(|it| it.path());
    let in_folder_of_app = |path: &PathBuf| {
        path.parent().unwrap().file_name().unwrap().to_str().unwrap().starts_with('a')
    };
    sockets.filter(in_folder_of_app).collect()
}

#[test]
fn nobody_is_found_where_nothing_is_served() {
    let site = Start::of(App::sample("hello")).run();
    let elsewhere = tempfile::tempdir().unwrap();
    let ended = std::process::Command::new(testkit::env::programs().join("ancm"))
        .args(["recycle".as_ref(), elsewhere.path().as_os_str()])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(NOT_RUNNING));
    assert_eq!(site.command("status", &["--pid", "1"]).status.code(), Some(NOT_RUNNING));
    site.stop();
}

#[test]
fn all_supervisors_of_a_folder_are_asked_unless_one_is_named() {
    let one = Start::of(App::sample("hello")).run();
    let two = Start::of_folder(one.app().dir()).run();
    let told = one.command("status", &["--json"]).stdout;
    assert_eq!(told.lines().count(), 2, "{told}");
    let ended = one.command("recycle", &[]);
    assert_eq!(ended.stdout, "generation 2 serves\n".repeat(2), "{}", ended.stderr);
    let number = two.supervisor().0.to_string();
    let ended = one.command("recycle", &["--pid", &number]);
    assert_eq!(ended.stdout, "generation 3 serves\n", "{}", ended.stderr);
    two.stop();
    assert_eq!(status(&one)["generations"][0]["id"], 2);
    one.stop();
}

#[test]
fn clients_that_are_silent_or_talk_nonsense_hold_nobody_up() {
    let run = tempfile::tempdir().unwrap();
    let site = Start::of(App::sample("hello")).env("XDG_RUNTIME_DIR", run.path()).run();
    let socket = sockets(&run).remove(0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().unwrap())), (0o600, 0o700));

    let load = Load::start(site.address(), "/plaintext", 1, 1);
    let silent: Vec<_> = (0..100).map(|_| UnixStream::connect(&socket)).collect();
    for number in 0..200_usize {
        let mut client = UnixStream::connect(&socket).unwrap();
        client.set_read_timeout(Some(testkit::patience())).unwrap();
        let bytes: Vec<u8> = (0..number * 200).map(|it| (it * number) as u8).collect();
        // It may be sent away before all of it is taken.
        let _ = client.write_all(&bytes);
        let _ = client.write_all(b"\n");
        let _ = client.read_to_end(&mut Vec::new());
    }
    assert_eq!(status(&site)["state"], "serving");
    drop(silent);
    load.wait_for_more(10);
    load.stop().assert_lossless();
    site.stop();
}

/// Needs root, who alone can be somebody else.
#[test]
fn another_user_finds_nobody_and_is_refused_where_the_socket_is_open_to_all() {
    let run = tempfile::tempdir().unwrap();
    if fs::metadata(run.path()).unwrap().uid() != 0 {
        return eprintln!("not root: nothing is tested");
    }
    let open = |path: &Path, mode| fs::set_permissions(path, PermissionsExt::from_mode(mode));
    let open = |path: &Path, mode| open(path, mode).unwrap();
    let site = Start::of(App::sample("hello")).env("XDG_RUNTIME_DIR", run.path()).run();
    // Where everybody can start it.
    let program = tempfile::tempdir().unwrap();
    fs::copy(testkit::env::programs().join("ancm"), program.path().join("ancm")).unwrap();
    for path in [program.path(), site.app().dir(), site.app().dir().parent().unwrap()] {
        open(path, 0o755);
    }
    let ask = |command: &str| {
        let ended = std::process::Command::new("setpriv")
            .args(["--reuid", "65534", "--regid", "65534", "--clear-groups"])
            .arg(program.path().join("ancm"))
            .arg(command)
            .arg(site.app().dir())
            .env("XDG_RUNTIME_DIR", run.path())
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "");
        (ended.status.code(), String::from_utf8(ended.stderr).unwrap())
    };
    let socket = sockets(&run).remove(0);
    let commands = ["status", "recycle", "stop", "logs"];
    for command in commands {
        let (code, told) = ask(command);
        assert_eq!(code, Some(NOT_RUNNING), "{command}: {told}");
        assert!(told.contains("for this user"), "{told}");
        assert!(told.contains("ask as its user, or root"), "{told}");
    }
    // Somebody has opened the folders; the kernel tells who comes all the same.
    socket.ancestors().skip(1).take(3).for_each(|folder| open(folder, 0o755));
    open(&socket, 0o666);
    for command in commands.repeat(5) {
        let (code, told) = ask(command);
        assert_eq!(code, Some(FAILED), "{command}: {told}");
        assert!(told.contains("only the user of the supervisor and root may ask"), "{told}");
    }
    assert_eq!(status(&site)["state"], "serving");
    assert_eq!(status(&site)["generations"][0]["id"], 1);
    site.stop();
}
