//! The application `Shapes`: every way to build a host is served.

use testkit::{App, Connection, Model, Request, Site, Start, both_models};

const SHAPES: [&str; 25] = [
    "CreateBuilder",
    "CreateSlimBuilder",
    "CreateEmptyBuilder",
    "UseUrls",
    "ConfigureKestrel",
    "UrlsAdd",
    "RunWithUrl",
    "RunAsync",
    "StartAsync",
    "Start",
    "DisposeAsync",
    "Container",
    "WorkerFirst",
    "TwoHosts",
    "NeverStarted",
    "NeverStartedServer",
    "LongInit",
    "ConfigureWebHostDefaults",
    "ConfigureWebHost",
    "UseStartup",
    "RunConsoleAsync",
    "ApplicationBuilder",
    "WebHostDefault",
    "WebHostStart",
    "WebHostBuilder",
];

fn shape(name: &str) -> App {
    App::test("Shapes").arguments(&format!(r".\Shapes.dll {name}"))
}

both_models! {
    fn each_is_served_and_stops(model: Model) {
        let mut wrong = Vec::new();
        // Two at a time: a machine has more than one core, and none has twenty.
        for pair in SHAPES.chunks(2) {
            let results = std::thread::scope(|scope| {
                let started: Vec<_> = pair
                    .iter()
                    .map(|name| (name, scope.spawn(move || serve(name, model))))
                    .collect();
                started.into_iter().map(|(name, run)| (name, run.join())).collect::<Vec<_>>()
            });
            for (name, result) in results {
                match result {
                    Ok(None) => {}
                    Ok(Some(difference)) => wrong.push(difference),
                    Err(_) => wrong.push(format!("{name}: panicked, see above")),
                }
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    }

    fn an_application_stops_itself_and_is_started_again(model: Model) {
        let site = Site::start(shape("CreateBuilder"), model);
        assert_eq!(site.get("/stop").ok().text(), "stopping");
        // Requests wait until there is somebody to answer them.
        assert_eq!(site.get("/").ok().text(), "CreateBuilder");
        site.stop();
    }

    fn a_background_service_that_fails_stops_the_application_which_comes_back(model: Model) {
        let site = Site::start(shape("BackgroundThrows"), model);
        assert_eq!(site.get("/").ok().text(), "BackgroundThrows");
        assert_eq!(site.get("/fuse").ok().text(), "blown");
        site.wait_for_log("a background service failed");
        testkit::eventually("the application again", || {
            let response = try_get(&site)?;
            (response == (200, "BackgroundThrows".to_owned())).then_some(())
        });
        site.stop();
    }

    fn a_background_service_may_fail_in_peace(model: Model) {
        let site = Site::start(shape("BackgroundThrowsIgnored"), model);
        let worker = site.worker();
        assert_eq!(site.get("/fuse").ok().text(), "blown");
        site.wait_for_log("a background service failed");
        assert_eq!(site.get("/").ok().text(), "BackgroundThrowsIgnored");
        assert_eq!(site.worker(), worker);
        site.stop();
    }

    fn the_second_host_of_a_process_is_a_neighbour(model: Model) {
        let site = Site::start(shape("TwoHosts"), model);
        site.wait_for_log("second on http://127.0.0.1:");
        let log = site.log();
        let (_, rest) = log.split_once("second on http://").expect("it was waited for");
        let address = rest.lines().next().expect("a line has an end");
        let second = Connection::open(address.trim().parse().expect("it is an address")).get("/");
        assert_eq!(second.ok().text(), "second");
        assert_eq!(site.get("/").ok().text(), "TwoHosts");
        site.stop();
    }

    fn the_steps_of_a_life_come_in_order(model: Model) {
        let mut site = Site::start(shape("Lifetime"), model);
        let mut last = site.connect();
        last.send(Request::get("/last").to_bytes());
        site.wait_for_log("waiting");
        site.signal("TERM");
        assert_eq!(last.response().ok().text(), "last");
        assert_eq!(site.wait_for_end().code(), Some(0));
        let log = site.log();
        let steps = log.lines().filter_map(|line| line.strip_prefix("life: "));
        let mut steps: Vec<&str> = steps.collect();
        // One wakes the other, and they run side by side.
        steps[4..6].sort_unstable();
        assert_eq!(steps, [
            "StartingAsync", "StartAsync", "StartedAsync", "ApplicationStarted",
            "ApplicationStopping", "StoppingAsync", "request ends", "StopAsync", "StoppedAsync",
            "ApplicationStopped", "Main returns", "ProcessExit",
        ]);
    }

    fn the_shape_may_come_from_the_environment(model: Model) {
        let app = App::test("Shapes").variables(&[("SHAPE", "WebHostDefault")]);
        let site = Start::of(app.model(model)).run();
        assert_eq!(site.get("/").ok().text(), "WebHostDefault");
        site.stop();
    }
}

#[test]
fn inp_01_the_host_takes_the_place_of_a_server_that_the_application_brings_in_process() {
    let site = Site::start(shape("OwnServer"), Model::InProcess);
    assert_eq!(site.get("/server").ok().text(), "HostServer");
    site.stop();
}

/// Serves one shape; a sentence when something is not as it should be.
fn serve(name: &str, model: Model) -> Option<String> {
    let site = Site::start(shape(name), model);
    let mut connection = site.connect();
    let mut get = |target: &str| {
        let response = connection.request(&Request::get(target));
        (response.status(), response.text())
    };
    let root = get("/");
    let server = get("/server").1;
    let addresses = get("/addresses").1;
    let listens = get("/listens").1;
    let variable = get("/variable").1;
    let expected = format!("http://{}", site.address());
    site.stop();
    if root.0 != 200 || !root.1.starts_with(name) {
        return Some(format!("{name}: {root:?}"));
    }
    let is_in_process = model == Model::InProcess;
    if is_in_process != (server == "HostServer") {
        return Some(format!("{name}: served by {server}"));
    }
    if addresses.trim_end_matches('/') != expected {
        return Some(format!("{name}: is reached by {addresses}, not {expected}"));
    }
    if is_in_process && variable != "none" {
        return Some(format!("{name}: children inherit {variable}"));
    }
    // However the application insists on an address, it listens where the host wants it.
    let is_socket = listens.starts_with("http://unix:/") && listens.ends_with(".sock");
    if !is_in_process && !is_socket {
        return Some(format!("{name}: listens on {listens}"));
    }
    if !is_in_process && variable.contains("Ancm") {
        return Some(format!("{name}: children inherit {variable}"));
    }
    None
}

fn try_get(site: &Site) -> Option<(u16, String)> {
    let mut connection = Connection::try_open(site.address()).ok()?;
    connection.try_send(Request::get("/").to_bytes()).ok()?;
    let response = connection.rest_or_response()?;
    Some((response.status(), response.text()))
}
