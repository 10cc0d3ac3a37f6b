//! The unit templates of `packaging` under the real systemd, as the first process of name spaces.

use testkit::{
    App, Load, Process, Systemd, both_models, eventually,
    systemd::{SERVICE, SOCKET},
};

/// The process in which the application is, as its machine numbers it.
fn application(machine: &Systemd) -> String {
    machine.get("/ProcessId").ok().text()
}

fn wait_until_served(machine: &Systemd) {
    eventually("the application", || {
        let connection = std::net::TcpStream::connect(machine.address()).ok()?;
        drop(connection);
        (machine.get("/HelloWorld").status() == 200).then_some(())
    });
}

fn wait_until_gone(processes: &[Process]) {
    eventually("the end of every process", || {
        processes.iter().all(|process| !process.is_alive()).then_some(())
    });
}

both_models! {
    fn a_unit_is_started_reloaded_and_stopped(model: Model) {
        let machine = Systemd::boot(App::test("Site").model(model));
        machine.systemctl(&["start", SERVICE]);
        // It has been told to be there when it is.
        assert_eq!(machine.get("/HelloWorld").ok().text(), "Hello World");
        assert_eq!(machine.property("StatusText"), "serving Site");
        let status = machine.run("runuser", &["-u", "www-data", "--", "ancm", "status", "/srv/app"]);
        assert!(status.status.success(), "{status:?}");

        let load = Load::start(machine.address(), "/HelloWorld", 2, 2);
        let before = application(&machine);
        machine.systemctl(&["reload", SERVICE]);
        eventually("another process", || (application(&machine) != before).then_some(()));
        eventually("its announcement", || {
            machine.property("StatusText").contains("generation 2").then_some(())
        });
        load.wait_for_more(20);
        load.stop().assert_lossless();
        assert_eq!(machine.property("ActiveState"), "active");

        let processes = machine.processes();
        assert!(processes.len() >= 2, "{processes:?}");
        machine.systemctl(&["stop", SERVICE]);
        assert_eq!(machine.property("Result"), "success");
        assert_eq!(machine.property("ExecMainStatus"), "0");
        wait_until_gone(&processes);
        let left = machine.run("find", &["/run/ancm", "/var/cache/ancm", "-mindepth", "2"]);
        assert_eq!(String::from_utf8_lossy(&left.stdout), "", "{left:?}");
    }

    fn a_unit_that_is_killed_or_hangs_is_started_again(model: Model) {
        let machine = Systemd::boot(App::test("Site").model(model));
        // What is stopped does not hear SIGABRT, so it takes SIGKILL, which comes after the limit.
        machine.set(SERVICE, "[Service]\nWatchdogSec=2\nTimeoutAbortSec=1\n");
        machine.systemctl(&["start", SERVICE]);
        for (number, (signal, result)) in [("KILL", "signal"), ("STOP", "watchdog")].iter().enumerate() {
            let (processes, supervisor) = (machine.processes(), machine.supervisor());
            supervisor.signal(signal);
            machine.wait_for("NRestarts", &(number + 1).to_string());
            machine.wait_for("ActiveState", "active");
            wait_until_served(&machine);
            wait_until_gone(&processes);
            let said = format!("Failed with result '{result}'");
            assert!(machine.log().contains(&said), "{said}");
        }
        machine.systemctl(&["stop", SERVICE]);
    }

    fn the_sockets_of_a_unit_outlive_it(model: Model) {
        let machine = Systemd::boot(App::test("Site").model(model));
        machine.systemctl(&["start", SOCKET]);
        assert_eq!(machine.property("ActiveState"), "inactive");
        // Whoever comes first waits for the start.
        assert_eq!(machine.get("/HelloWorld").ok().text(), "Hello World");
        assert_eq!(machine.property("ActiveState"), "active");
        // A stop and a start, as after an update of the package: who comes in between waits.
        let load = Load::start(machine.address(), "/HelloWorld", 2, 2);
        load.wait_for_more(20);
        let before = application(&machine);
        machine.systemctl(&["restart", SERVICE]);
        assert_ne!(application(&machine), before);
        load.wait_for_more(20);
        load.stop().assert_lossless();
        machine.systemctl(&["stop", SOCKET, SERVICE]);
    }
}

#[test]
fn a_unit_whose_address_is_taken_is_started_when_it_is_free() {
    let machine = Systemd::boot(App::sample("hello"));
    let taken = std::net::TcpListener::bind(machine.address()).unwrap();
    machine.systemctl(&["start", "--no-block", SERVICE]);
    // More often than systemd goes on with by default.
    machine.wait_for("NRestarts", "6");
    assert!(machine.log().contains("another process listens"), "{}", machine.log());
    drop(taken);
    machine.wait_for("ActiveState", "active");
    assert_eq!(machine.get("/plaintext").status(), 200);
    machine.systemctl(&["stop", SERVICE]);
}

#[test]
fn a_unit_whose_application_does_not_start_says_why() {
    let app = App::misbehaving("Throw").model(testkit::Model::InProcess);
    let machine = Systemd::boot(app);
    // There is a page, which is served.
    machine.systemctl(&["start", SERVICE]);
    assert_eq!(machine.get("/").status(), 500);
    let status = machine.property("StatusText");
    assert!(status.contains("500.30"), "{status}");
    let events = machine.journal(&["EVENT_ID=1018"]);
    let event = events.first().expect("it is in the journal");
    assert_eq!((&event["PRIORITY"], &event["SYSLOG_IDENTIFIER"]), (&"3".into(), &"ancm".into()));
    assert!(event["MESSAGE"].as_str().is_some_and(|text| text.contains("500.30")), "{event}");
    assert!(event["ANCM_APP"].as_str().is_some_and(|text| !text.is_empty()), "{event}");
    // Mended, it is served without anybody doing anything.
    let app = machine.app();
    app.write("web.config", app.read("web.config").replace("Throw", "Serve"));
    eventually("the application", || {
        machine.property("StatusText").starts_with("serving Misbehave").then_some(())
    });
    machine.systemctl(&["stop", SERVICE]);
}
