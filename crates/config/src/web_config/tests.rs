//! Hostile input: every reading ends quickly, with a finding.

use std::time::{Duration, Instant};

use super::*;

fn first_code(bytes: &[u8]) -> &'static str {
    let mut findings = Findings::default();
    let started = Instant::now();
    let read_settings = read(bytes, "web.config", &Env::default(), &mut findings);
    assert!(started.elapsed() < Duration::from_secs(20), "took {:?}", started.elapsed());
    assert!(read_settings.is_none());
    assert!(findings.as_slice().len() < 200);
    let mut errors = findings.errors();
    errors.next().map(|finding| finding.code).unwrap_or_default()
}

fn in_section(inner: &str) -> String {
    format!(
        "<configuration><system.webServer><aspNetCore processPath='x'>{inner}</aspNetCore>\
         </system.webServer></configuration>"
    )
}

#[test]
fn large_files_are_refused_before_they_are_parsed() {
    assert_eq!(first_code(&vec![b'<'; 10 << 20]), "file-too-large");
    assert_eq!(first_code(&vec![b'<'; 1 << 20]), "xml-syntax");
}

#[test]
fn many_attributes_are_refused() {
    let attributes: String = (0..100_000).map(|i| format!(" a{i}=''")).collect();
    assert_eq!(first_code(format!("<configuration{attributes}/>").as_bytes()), "xml-shape");
}

#[test]
fn deep_nesting_is_refused() {
    let deep = "<a>".repeat(100_000) + &"</a>".repeat(100_000);
    assert_eq!(first_code(deep.as_bytes()), "xml-shape");
}

#[test]
fn many_errors_on_one_line_are_bounded() {
    assert_eq!(first_code(in_section(&"<x/>".repeat(200_000)).as_bytes()), "no-handler");
    let variables = "<environmentVariables>".to_owned()
        + &"<environmentVariable name='a' value=''/>".repeat(20_000)
        + "</environmentVariables>";
    assert_eq!(first_code(in_section(&variables).as_bytes()), "no-handler");
}

#[test]
fn entities_and_definitions_are_refused() {
    let bomb = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'b'><!ENTITY c '&b;&b;'>]><a>&c;</a>";
    assert_eq!(first_code(bomb.as_bytes()), "xml-shape");
    assert_eq!(first_code(b"<configuration>&unknown;</configuration>"), "xml-syntax");
}

#[test]
fn bytes_that_are_no_text_are_refused() {
    assert_eq!(first_code(b""), "empty-file");
    assert_eq!(first_code(b"\xff\xfe"), "empty-file");
    assert_eq!(first_code(b"<configuration>\0</configuration>"), "encoding");
    assert_eq!(first_code(b"<configuration>\xc3</configuration>"), "encoding");
    assert_eq!(first_code(b"PK\x03\x04"), "xml-syntax");
}

#[test]
fn long_values_are_not_repeated_in_full() {
    let long = "x".repeat(500_000);
    let mut findings = Findings::default();
    let text = format!(
        "<configuration><system.webServer><aspNetCore processPath='x' hostingModel='{long}' \
         {long}=''><{long}/></aspNetCore></system.webServer></configuration>"
    );
    read(text.as_bytes(), "web.config", &Env::default(), &mut findings);
    assert!(findings.as_slice().iter().all(|finding| finding.to_string().len() < 1000));
}

fn settings_of(inner: &str) -> AspNetCore {
    let mut findings = Findings::default();
    let text = format!(
        "<configuration><system.webServer><handlers><add name='a' path='*' verb='*' \
         modules='AspNetCoreModuleV2'/></handlers><aspNetCore processPath='x'>{inner}</aspNetCore>\
         </system.webServer></configuration>"
    );
    let env = Env::from_iter([("LOGS", "/var/log")]);
    let read = read(text.as_bytes(), "web.config", &env, &mut findings);
    read.unwrap_or_else(|| panic!("{:?}", findings.as_slice())).settings
}

fn handler_settings(pairs: &[(&str, &str)]) -> crate::HandlerSettings {
    let list = pairs
        .iter()
        .map(|(name, value)| format!("<handlerSetting name='{name}' value='{value}'/>"));
    let list = list.collect::<String>();
    settings_of(&format!("<handlerSettings>{list}</handlerSettings>")).handler_settings
}

#[test]
fn nat_02_nat_03_nat_04_settings_of_the_handler_are_found_by_name() {
    let typed = handler_settings(&[
        ("handlerVersion", "2.1.0"),
        ("debugLevel", "file,TRACE"),
        ("DEBUGFILE", r"%LOGS%\ancm.txt"),
    ]);
    assert_eq!(typed.handler_version.as_deref(), Some("2.1.0"));
    assert_eq!(typed.debug_level, crate::DebugLog::parse("trace,file").0);
    assert_eq!(typed.debug_file.as_deref(), Some("/var/log/ancm.txt".as_ref()));
    let empty = handler_settings(&[("handlerVersion", ""), ("debugLevel", ""), ("debugFile", "")]);
    assert_eq!((empty.handler_version, empty.debug_file), (None, None));
    assert_eq!(empty.debug_level, crate::DebugLog::default());
}

#[test]
fn nat_05_of_equal_settings_the_first_counts() {
    let typed = handler_settings(&[
        ("other", "1"),
        ("handlerVersion", "first"),
        ("handlerversion", "second"),
    ]);
    assert_eq!(typed.handler_version.as_deref(), Some("first"));
}

#[test]
fn settings_of_an_application_pool_are_read_in_its_words() {
    let typed = handler_settings(&[
        ("idleTimeout", "00:20:00"),
        ("periodicRestartPrivateMemory", "500000"),
        ("periodicRestartRequests", "0"),
        ("periodicRestartSchedule", "15:00:00,03:00:00"),
        ("periodicRestartTime", "1.05:00:00"),
        ("healthCheckPath", "/healthz"),
        ("healthCheckFailures", "5"),
        ("overlapMemoryReserve", "2000"),
    ]);
    let recycling = typed.recycling;
    assert_eq!(recycling.idle_timeout, Some(Duration::from_secs(1200)));
    assert_eq!(recycling.private_memory, Some(512_000_000));
    assert_eq!(recycling.overlap_memory_reserve, 2_048_000);
    assert_eq!(recycling.requests, None);
    assert_eq!(recycling.schedule, [10_800, 54_000].map(Duration::from_secs));
    assert_eq!(recycling.time, Some(Duration::from_secs(104_400)));
    let check = recycling.health_check.unwrap();
    assert_eq!((check.page.target.as_str(), check.failures), ("/healthz", 5));
    assert_eq!(check.interval, Duration::from_secs(10));
    let mut findings = Findings::default();
    let text = in_section(
        "<handlerSettings><handlerSetting name='idleTimeout' value='20'/><handlerSetting \
         name='healthCheckPath' value='http://a/'/><handlerSetting name='healthCheckFailures' \
         value='0'/><handlerSetting name='healthCheckInterval' value='00:00:00'/><handlerSetting \
         name='periodicRestartSchedule' value='25:00:00'/></handlerSettings>",
    );
    read(text.as_bytes(), "web.config", &Env::default(), &mut findings);
    let errors = findings.errors().filter(|it| it.code == "handler-setting-value");
    assert_eq!(errors.count(), 5);
}

#[test]
fn nat_06_collections_may_be_missing() {
    let settings = settings_of("");
    assert_eq!(settings.handler_settings, crate::HandlerSettings::default());
    assert!(settings.environment_variables.is_empty());
}
