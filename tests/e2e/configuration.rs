//! web.config and the environment, as the application sees them.

use testkit::{App, Model, Site, Start, both_models, env};

fn site_app() -> App {
    App::test("Site")
}

/// What the application sees of an environment variable.
fn variable(site: &Site, name: &str) -> String {
    site.get(&format!("/GetEnvironmentVariable?name={name}")).ok().text()
}

fn text(site: &Site, endpoint: &str) -> String {
    site.get(&format!("/{endpoint}")).ok().text()
}

both_models! {
    fn shim_02_v1_23_variables_in_paths_are_expanded(model: Model) {
        let app = site_app()
            .attribute("processPath", "%MY_DOTNET%")
            .arguments(r"%MY_FOLDER%\Site.dll");
        let dotnet = env::dotnet_root().join("dotnet");
        let site = Start::of(app.model(model))
            .env("MY_DOTNET", dotnet)
            .env("MY_FOLDER", ".")
            .run();
        assert_eq!(text(&site, "HelloWorld"), "Hello World");
    }

    fn shim_04_a_path_to_dotnet_is_used(model: Model) {
        let dotnet = env::dotnet_root().join("dotnet");
        let app = site_app().attribute("processPath", dotnet.to_str().unwrap());
        assert_eq!(text(&Site::start(app, model), "HelloWorld"), "Hello World");
    }

    fn shim_06_v1_23_dotnet_is_found_on_the_path(model: Model) {
        let path = format!("{}:/usr/bin:/bin", env::dotnet_root().display());
        for name in ["dotnet", "dotnet.EXE", "dotnet.exe"] {
            let app = site_app().attribute("processPath", name).model(model);
            let site = Start::of(app).without_env("DOTNET_ROOT").env("PATH", &path).run();
            assert_eq!(text(&site, "HelloWorld"), "Hello World", "{name}");
        }
    }

    fn shim_09_an_app_host_is_started(model: Model) {
        for path in [r".\Site", "./Site", r".\Site.exe"] {
            let app = site_app().attribute("processPath", path).arguments("");
            let site = Site::start(app, model);
            assert_eq!(text(&site, "HelloWorld"), "Hello World", "{path}");
        }
    }

    fn shim_18_arguments_of_any_shape_arrive(model: Model) {
        for (folder, arguments, expected) in [
            ("app", r".\Site.dll one two", "one|two"),
            ("app", r"exec .\Site.dll one", "one"),
            ("with space ä", r#""Site.dll" "one two" three"#, "one two|three"),
            ("app", "{dir}/Site.dll extra", "extra"),
            ("app", r#".\Site.dll a=1 "b c" d"#, "a=1|b c|d"),
        ] {
            let app = site_app().in_folder(folder);
            let arguments = arguments.replace("{dir}", app.dir().to_str().unwrap());
            let site = Site::start(app.arguments(&arguments), model);
            assert_eq!(text(&site, "CommandLineArgs"), expected, "{arguments}");
        }
    }

    fn native_libraries_of_the_runtime_are_found(model: Model) {
        let file = "Site.runtimeconfig.json";
        let app = site_app();
        let config = app.read(file);
        let invariant = "\"System.Globalization.Invariant\": true";
        assert!(config.contains(invariant), "{config}");
        let app = app.file(file, config.replace(invariant, "\"System.Globalization.Invariant\": false"));
        let site = Site::start(app, model);
        for compression in ["GZip", "Brotli", "ZLib"] {
            assert_eq!(text(&site, compression), "True True", "{compression}");
        }
        assert_eq!(text(&site, "Icu"), "İSTANBUL 1.234,500 True");
        // SHA-256 of `signed`, and whether a signature fits.
        let hash = "4a3cdfae6f291c8f544daea5b72905cf9e74c1ed427d831ad0d7ca00c73c794d";
        assert_eq!(text(&site, "OpenSsl"), format!("{hash} True"));
        site.stop();
    }

    fn cfg_20_cfg_21_the_port_of_https_is_known(model: Model) {
        let app = site_app()
            .arguments(r".\Site.dll https=true")
            .variables(&[("ASPNETCORE_HTTPS_PORT", "8443")]);
        let site = Start::of(app.model(model)).env("ASPNETCORE_HTTPS_PORT", "9443").run();
        let moved = site.get("/HelloWorld?a=b");
        assert_eq!(moved.status(), 307);
        assert_eq!(moved.header("Location"), Some("https://localhost:8443/HelloWorld?a=b"));
        site.stop();
    }

    fn an_application_in_a_folder_below_is_started(model: Model) {
        let app = site_app().below("bin").arguments(r"bin\Site.dll");
        assert_eq!(text(&Site::start(app, model), "HelloWorld"), "Hello World");
    }

    fn a_web_config_without_a_location_is_read(model: Model) {
        let app = site_app()
            .replace(r#"<location path="." inheritInChildApplications="false">"#, "")
            .replace("</location>", "");
        assert_eq!(text(&Site::start(app, model), "HelloWorld"), "Hello World");
    }

    fn web_config_is_found_in_any_casing(model: Model) {
        let app = site_app().model(model);
        let config = app.read("web.config");
        let site = Start::of(app.without("web.config").file("Web.Config", config)).run();
        assert_eq!(text(&site, "HelloWorld"), "Hello World");
    }

    fn the_command_line_beats_web_config(model: Model) {
        let other = match model {
            Model::InProcess => Model::OutOfProcess,
            Model::OutOfProcess => Model::InProcess,
        };
        let site = Start::of(site_app().model(other)).hosting_model(model).run();
        let is_in_worker = site.application() == site.worker();
        assert_eq!(is_in_worker, model == Model::InProcess);
    }

    fn the_environment_is_named_on_the_command_line(model: Model) {
        let start = Start::of(site_app().model(model));
        let site = start.argument("--environment").argument("Staging").run();
        assert_eq!(text(&site, "EnvironmentName"), "Staging");
    }

    fn cfg_04_the_launcher_path_of_the_environment_is_preferred(model: Model) {
        let app = site_app().attribute("processPath", "not-there").model(model);
        let dotnet = env::dotnet_root().join("dotnet");
        let site = Start::of(app).env("ANCM_LAUNCHER_PATH", dotnet).run();
        assert_eq!(text(&site, "HelloWorld"), "Hello World");
    }

    fn cfg_05_the_launcher_arguments_of_the_environment_are_preferred(model: Model) {
        let app = site_app().arguments("NotThere.dll").model(model);
        let site = Start::of(app).env("ANCM_LAUNCHER_ARGS", r".\Site.dll other").run();
        assert_eq!(text(&site, "CommandLineArgs"), "other");
    }

    fn cfg_06_cfg_07_l22_20_long_values_arrive(model: Model) {
        let long = "AReallyLongValueThatIsGreaterThan300Characters".repeat(10);
        let site = Site::start(site_app().variables(&[("LONG", &long)]), model);
        assert_eq!(variable(&site, "LONG"), long);
    }

    fn cfg_08_cfg_09_l22_22_v1_14_the_authentication_variable_is_replaced(model: Model) {
        let app = site_app().variables(&[("ASPNETCORE_IIS_HTTPAUTH", "shouldberemoved")]);
        let site = Site::start(app, model);
        assert_ne!(variable(&site, "ASPNETCORE_IIS_HTTPAUTH"), "shouldberemoved");
    }

    fn cfg_10_cfg_11_web_config_beats_the_process(model: Model) {
        let app = site_app().variables(&[("OWN", "web.config")]).model(model);
        let site = Start::of(app).env("OWN", "process").run();
        assert_eq!(variable(&site, "OWN"), "web.config");
    }

    fn cfg_14_cfg_15_v1_14_the_hosting_startup_of_web_config_stands_alone(model: Model) {
        let name = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";
        let app = site_app().variables(&[(name, "Site")]).model(model);
        let site = Start::of(app).env(name, "Other").run();
        let seen = variable(&site, name);
        match model {
            // Ours may be there too.
            Model::InProcess => assert!(seen == "Site" || seen.starts_with("Site;"), "{seen}"),
            Model::OutOfProcess => assert_eq!(seen, "Site"),
        }
        assert!(!seen.contains("Other"), "{seen}");
    }

    fn cfg_16_cfg_17_variables_in_values_are_expanded(model: Model) {
        let app = site_app().variables(&[("OWN", "%TEST_PART%;more")]).model(model);
        let site = Start::of(app).env("TEST_PART", "part").run();
        assert_eq!(variable(&site, "OWN"), "part;more");
    }

    fn cfg_18_the_process_beats_web_config_when_preferred(model: Model) {
        let app = site_app().variables(&[("OWN", "web.config")]).model(model);
        let site = Start::of(app)
            .env("OWN", "process")
            .env("ANCM_PREFER_ENVIRONMENT_VARIABLES", "true")
            .run();
        assert_eq!(variable(&site, "OWN"), "process");
    }

    fn l22_19_v1_14_variables_of_web_config_arrive(model: Model) {
        let site = Site::start(site_app().variables(&[("OWN", "value"), ("OTHER", "a & b")]), model);
        assert_eq!(variable(&site, "OWN"), "value");
        assert_eq!(variable(&site, "OTHER"), "a & b");
        assert_eq!(variable(&site, "NOT_THERE"), "(null)");
    }

    fn cfg_23_the_folders_are_those_of_the_application(model: Model) {
        let app = site_app().in_folder("in ä folder");
        let site = Site::start(app, model);
        let dir = site.app().dir().to_str().unwrap().to_owned();
        let without_slash = |text: String| text.trim_end_matches('/').to_owned();
        assert_eq!(without_slash(text(&site, "ContentRootPath")), dir);
        assert_eq!(without_slash(text(&site, "CurrentDirectory")), dir);
        assert_eq!(without_slash(text(&site, "BaseDirectory")), dir);
        assert_eq!(without_slash(variable(&site, "ASPNETCORE_IIS_PHYSICAL_PATH")), dir);
    }
}

#[test]
fn cfg_03_the_worker_s_folder_can_be_kept_in_process() {
    let app = site_app().handler_setting("setCurrentDirectory", "false");
    let site = Site::start(app, Model::InProcess);
    let dir = site.app().dir().to_str().unwrap().to_owned();
    assert_eq!(text(&site, "CurrentDirectory"), std::env::current_dir().unwrap().to_str().unwrap());
    assert_eq!(text(&site, "ContentRootPath").trim_end_matches('/'), dir);
    assert_eq!(text(&site, "BaseDirectory").trim_end_matches('/'), dir);
}

#[test]
fn cfg_13_v1_14_the_integration_is_appended_out_of_process() {
    let name = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";
    let start = Start::of(site_app().model(Model::OutOfProcess)).env(name, "Site");
    let seen = variable(&start.run(), name);
    assert_eq!(seen, "Site;Microsoft.AspNetCore.Server.IISIntegration");
}

#[test]
fn cfg_12_the_hosting_startup_of_the_process_stays_in_process() {
    let name = "ASPNETCORE_HOSTINGSTARTUPASSEMBLIES";
    let start = Start::of(site_app().model(Model::InProcess)).env(name, "Site");
    let seen = variable(&start.run(), name);
    assert!(seen == "Site" || seen.starts_with("Site;"), "{seen}");
}

#[test]
fn cfg_25_the_server_s_address_is_the_public_one_in_process() {
    let site = Site::start(site_app(), Model::InProcess);
    assert_eq!(text(&site, "ServerAddresses"), site.addresses()[0]);
}

#[test]
fn a_backend_says_that_it_is_reached_by_the_public_addresses() {
    let start = Start::of(site_app().model(Model::OutOfProcess));
    let site = start.url("http://127.0.0.1:0").url("http://localhost:0").run();
    assert!(site.addresses().len() > 1, "{:?}", site.addresses());
    assert_eq!(text(&site, "ServerAddresses"), site.addresses().join("\n"));
    site.stop();
}

#[test]
fn cfg_19_every_address_of_the_site_is_the_server_s_in_process() {
    let start = Start::of(site_app().model(Model::InProcess));
    let site = start.url("http://127.0.0.1:0").url("http://localhost:0").run();
    assert!(site.addresses().len() > 1, "{:?}", site.addresses());
    assert_eq!(text(&site, "ServerAddresses"), site.addresses().join("\n"));
    assert!(site.addresses().iter().all(|address| address.starts_with("http://")));
    site.stop();
}

#[test]
fn cfg_24_the_identity_is_there_as_configuration_in_process() {
    let site = Site::start(site_app(), Model::InProcess);
    for name in [
        "IIS_VERSION",
        "IIS_APP_POOL_ID",
        "IIS_SITE_NAME",
        "IIS_SITE_ID",
        "IIS_APP_CONFIG_PATH",
        "IIS_APPLICATION_ID",
        "IIS_APPLICATION_VIRTUAL_PATH",
        "IIS_PHYSICAL_PATH",
    ] {
        assert_ne!(variable(&site, &format!("ASPNETCORE_{name}")), "(null)", "{name}");
        assert_ne!(text(&site, &format!("GetConfiguration?name={name}")), "(null)", "{name}");
    }
    let feature = text(&site, "IISEnvironment");
    assert_eq!(feature.lines().count(), 9, "{feature}");
    assert!(feature.lines().all(|line| !line.ends_with('=')), "{feature}");
}

#[test]
fn a_hosting_model_that_is_not_written_is_out_of_process() {
    let site = Start::of(site_app().replace(r#" hostingModel="inprocess""#, "")).run();
    assert_ne!(site.application(), site.worker());
}

/// The port of the backend.
mod port {
    use super::*;

    fn start_with_port(port: &str) -> Site {
        let variables = [("ASPNETCORE_PORT", port)];
        Site::start(site_app().variables(&variables), Model::OutOfProcess)
    }

    #[test]
    fn oop_01_a_configured_port_is_used() {
        // A port that is free now; nobody else takes one from below the ephemeral range by chance.
        let port = (20_000..30_000)
            .map(|port| port + (std::process::id() % 5_000) as u16)
            .find(|port| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok())
            .unwrap()
            .to_string();
        let site = start_with_port(&port);
        assert!(text(&site, "ServerAddresses").ends_with(&format!(":{port}")));
    }

    #[test]
    fn oop_02_an_empty_port_is_a_free_one() {
        let app = site_app().variables(&[("ASPNETCORE_PORT", "")]);
        let app = app.handler_setting("backendTransport", "tcp");
        let addresses = text(&Site::start(app, Model::OutOfProcess), "ServerAddresses");
        let port: u16 = addresses.rsplit(':').next().unwrap().parse().unwrap();
        assert!((1025..48_000).contains(&port), "{addresses}");
    }

    #[test]
    fn oop_03_an_unusable_port_is_a_502() {
        for port in ["1024", "48001", "nonsense"] {
            let site = start_with_port(port);
            assert_eq!(site.get("/HelloWorld").status(), 502, "{port}");
        }
    }

    #[test]
    fn oop_04_a_backend_that_stops_itself_is_started_each_time() {
        let site = Site::start(site_app(), Model::OutOfProcess);
        let mut last = site.application();
        for _ in 0..2 {
            assert_eq!(site.get("/Shutdown").status(), 200);
            last = testkit::eventually("another process", || {
                let response = site.get("/ProcessId");
                let is_other = response.status() == 200 && response.text() != last.0.to_string();
                is_other.then(|| testkit::Process(response.text().parse().unwrap()))
            });
        }
        site.stop();
    }
}

#[test]
fn oop_06_many_sites_run_beside_each_other() {
    let sites: Vec<Site> =
        (0..3).map(|_| Start::of(site_app().model(Model::OutOfProcess)).spawn()).collect();
    let mut processes = Vec::new();
    for site in &sites {
        site.wait_until_listening();
        processes.push(site.application());
    }
    processes.sort();
    processes.dedup();
    assert_eq!(processes.len(), sites.len());
}
