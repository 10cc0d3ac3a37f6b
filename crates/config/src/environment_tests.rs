use std::path::PathBuf;
use std::time::Duration;

use super::*;

fn settings(variables: &[(&str, &str)]) -> AspNetCore {
    let mut settings = AspNetCore::of("dotnet", vec!["./App.dll".to_owned()]);
    settings.environment_variables =
        variables.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
    settings
}

fn identity() -> Identity {
    Identity {
        config_file: Some("/srv/shop/web.config".into()),
        app_pool: "App".to_owned(),
        site_name: "App".to_owned(),
        site_id: 1,
        virtual_path: "/".to_owned(),
        physical_path: PathBuf::from("/srv/app"),
        https_port: None,
    }
}

fn value<'a>(list: &'a [(String, String)], name: &str) -> Option<&'a str> {
    let mut found = list.iter().filter(|(other, _)| other == name);
    let first = found.next().map(|(_, value)| value.as_str());
    assert!(found.next().is_none(), "{name} is set twice");
    first
}

/// Both hosting models through one test body.
fn both(variables: &[(&str, &str)], process: &Env) -> [Vec<(String, String)>; 2] {
    let settings = settings(variables);
    [
        for_in_process(&settings, &identity(), process),
        for_out_of_process(&settings, &identity(), process),
    ]
}

#[test]
fn nat_31_nat_32_identity_is_set_in_both_models() {
    for list in both(&[], &Env::default()) {
        for (name, expected) in [
            ("ASPNETCORE_IIS_VERSION", "10.0"),
            ("ASPNETCORE_IIS_APP_POOL_ID", "App"),
            ("ASPNETCORE_IIS_SITE_NAME", "App"),
            ("ASPNETCORE_IIS_SITE_ID", "1"),
            ("ASPNETCORE_IIS_APP_CONFIG_PATH", "MACHINE/WEBROOT/APPHOST/App"),
            ("ASPNETCORE_IIS_APPLICATION_ID", "/LM/W3SVC/1/ROOT"),
            ("ASPNETCORE_IIS_APPLICATION_VIRTUAL_PATH", "/"),
            ("ASPNETCORE_IIS_PHYSICAL_PATH", "/srv/app/"),
            ("ASPNETCORE_IIS_HTTPAUTH", "anonymous;"),
        ] {
            assert_eq!(value(&list, name), Some(expected), "{name}");
        }
    }
}

#[test]
fn a_value_of_the_user_for_httpauth_is_replaced() {
    for list in both(&[("aspnetcore_iis_httpauth", "shouldberemoved")], &Env::default()) {
        assert_eq!(value(&list, "ASPNETCORE_IIS_HTTPAUTH"), Some("anonymous;"));
        assert_eq!(value(&list, "aspnetcore_iis_httpauth"), None);
    }
}

#[test]
fn web_config_beats_the_process() {
    let process = Env::from_iter([("KEY", "process")]);
    for list in both(&[("KEY", "web.config")], &process) {
        assert_eq!(value(&list, "KEY"), Some("web.config"));
    }
}

#[test]
fn the_process_beats_web_config_when_preferred_and_is_not_expanded() {
    let process = Env::from_iter([
        ("KEY", "%HOME%"),
        ("EMPTY", ""),
        ("HOME", "/root"),
        ("ANCM_PREFER_ENVIRONMENT_VARIABLES", "TRUE"),
    ]);
    for list in both(&[("KEY", "web.config"), ("EMPTY", "web.config")], &process) {
        assert_eq!(value(&list, "KEY"), Some("%HOME%"));
        assert_eq!(value(&list, "EMPTY"), Some("web.config"));
    }
}

#[test]
fn values_are_expanded_with_process_and_identity() {
    let process = Env::from_iter([("HOME", "/root")]);
    let variables = [("A", "%home%/x"), ("B", "%ASPNETCORE_IIS_SITE_NAME%"), ("C", "%NOPE%")];
    for list in both(&variables, &process) {
        assert_eq!(value(&list, "A"), Some("/root/x"));
        assert_eq!(value(&list, "B"), Some("App"));
        assert_eq!(value(&list, "C"), Some("%NOPE%"));
    }
}

#[test]
fn nat_13_a_long_value_arrives_intact() {
    let long = "AAAA_".repeat(1000);
    let process = Env::from_iter([("OTHER", long.as_str())]);
    for list in both(&[("LONG", &long), ("EXPANDED", "%OTHER%")], &process) {
        assert_eq!(value(&list, "LONG"), Some(long.as_str()));
        assert_eq!(value(&list, "EXPANDED"), Some(long.as_str()));
    }
}

#[test]
fn the_spelling_of_the_process_is_kept() {
    let process = Env::from_iter([("PATH", "/bin")]);
    for list in both(&[("Path", "/opt/bin:%PATH%")], &process) {
        assert_eq!(value(&list, "PATH"), Some("/opt/bin:/bin"));
        assert_eq!(value(&list, "Path"), None);
    }
}

#[test]
fn hosting_startup_is_appended_only_out_of_process_and_only_when_not_written() {
    let process = Env::from_iter([(HOSTING_STARTUP, "Mine")]);
    let [inside, outside] = both(&[], &process);
    assert_eq!(value(&inside, HOSTING_STARTUP), None);
    assert_eq!(
        value(&outside, HOSTING_STARTUP),
        Some("Mine;Microsoft.AspNetCore.Server.IISIntegration")
    );
    let [_, outside] = both(&[], &Env::default());
    assert_eq!(
        value(&outside, HOSTING_STARTUP),
        Some(";Microsoft.AspNetCore.Server.IISIntegration")
    );
    for list in both(&[(HOSTING_STARTUP, "Asm1")], &process) {
        assert_eq!(value(&list, HOSTING_STARTUP), Some("Asm1"));
    }
}

#[test]
fn https_port_comes_from_the_site_unless_written() {
    let identity = Identity { https_port: Some(443), ..identity() };
    let list = for_out_of_process(&settings(&[]), &identity, &Env::default());
    assert_eq!(value(&list, "ASPNETCORE_ANCM_HTTPS_PORT"), Some("443"));
    let written = settings(&[("ASPNETCORE_ANCM_HTTPS_PORT", "123")]);
    let list = for_out_of_process(&written, &identity, &Env::default());
    assert_eq!(value(&list, "ASPNETCORE_ANCM_HTTPS_PORT"), Some("123"));
}

#[test]
fn out_of_process_knows_path_and_web_sockets() {
    let [inside, outside] = both(&[("ASPNETCORE_APPL_PATH", "/x")], &Env::default());
    assert_eq!(value(&outside, "ASPNETCORE_APPL_PATH"), Some("/"));
    assert_eq!(value(&outside, "ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED"), Some("true"));
    assert_eq!(value(&inside, "ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED"), None);
    let mut settings = settings(&[]);
    settings.web_sockets = false;
    let outside = for_out_of_process(&settings, &identity(), &Env::default());
    assert_eq!(value(&outside, "ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED"), Some("false"));
}

#[test]
fn in_process_defaults_give_way_to_what_is_written() {
    let name = "ASPNETCORE_SHUTDOWNTIMEOUTSECONDS";
    let [inside, outside] = both(&[], &Env::default());
    assert_eq!(value(&inside, name), Some("8"));
    assert_eq!(value(&inside, "ASPNETCORE_CONTENTROOT"), Some("/srv/app"));
    assert_eq!(value(&outside, name), None);
    let [inside, _] = both(&[(name, "3")], &Env::default());
    assert_eq!(value(&inside, name), Some("3"));
    let [inside, _] = both(&[], &Env::from_iter([("DOTNET_SHUTDOWNTIMEOUTSECONDS", "7")]));
    assert_eq!(value(&inside, name), None);
    for (limit, expected) in [(0, "1"), (1, "1"), (2, "1"), (5, "4"), (6, "4"), (600, "598")] {
        let mut settings = settings(&[]);
        settings.shutdown_time_limit = Duration::from_secs(limit);
        let list = for_in_process(&settings, &identity(), &Env::default());
        assert_eq!(value(&list, name), Some(expected), "{limit}");
    }
}

#[test]
fn the_environment_of_the_command_line_wins_over_everything() {
    let mut settings = settings(&[("ASPNETCORE_ENVIRONMENT", "Staging")]);
    settings.environment_override = Some("Development".to_owned());
    let process = Env::from_iter([
        ("ASPNETCORE_ENVIRONMENT", "Production"),
        ("ANCM_PREFER_ENVIRONMENT_VARIABLES", "1"),
    ]);
    let list = for_in_process(&settings, &identity(), &process);
    assert_eq!(value(&list, "ASPNETCORE_ENVIRONMENT"), Some("Development"));
    assert!(detailed_errors(&settings, &process));
}

#[test]
fn details_are_shown_in_development_or_on_request() {
    let none = Env::default();
    assert!(!detailed_errors(&settings(&[]), &none));
    assert!(detailed_errors(&settings(&[("ASPNETCORE_DETAILEDERRORS", "True")]), &none));
    assert!(detailed_errors(&settings(&[("DOTNET_ENVIRONMENT", "development")]), &none));
    let production = Env::from_iter([("DOTNET_ENVIRONMENT", "Production")]);
    assert!(!detailed_errors(&settings(&[("DOTNET_ENVIRONMENT", "Development")]), &production));
}
