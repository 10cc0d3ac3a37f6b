//! An application below a path of the site.

use testkit::{App, Model, Site, Start, both_models};

/// How the application answers for what it does not have.
const NOT_FOUND: &str = "no such endpoint";

fn start(app: App, base: &str, model: Model) -> Site {
    Start::of(app.model(model)).argument("--path-base").argument(base).run()
}

/// Asks for every target, expecting path base and path as the application sees them; those without
/// an expectation are not the application's. The application puts the name of an endpoint to the
/// base.
fn ask(site: &Site, cases: &[(&str, Option<(&str, &str)>)]) {
    for (target, expected) in cases {
        let answer = site.get(target);
        match expected {
            Some((base, path)) => {
                let expected = format!("PathBase: {base}/PathAndPathBase; Path: {path}");
                assert_eq!(answer.ok().text(), expected, "{target}");
            }
            None => {
                assert_eq!(answer.status(), 404, "{target}");
                assert_ne!(answer.text(), NOT_FOUND, "{target}");
            }
        }
    }
}

both_models! {
    fn req_07_a_path_base_is_split_off_as_the_client_writes_it(model: Model) {
        let site = start(App::test("Site"), "/shop/de/", model);
        assert!(site.stdout().contains("/shop/de\n"), "{}", site.stdout());
        ask(&site, &[
            ("/shop/de/PathAndPathBase/x?y", Some(("/shop/de", "/x"))),
            ("/SHOP/De/PathAndPathBase", Some(("/SHOP/De", ""))),
            ("/%73hop/de/PathAndPathBase", Some(("/shop/de", ""))),
            ("/x/../shop/./de/PathAndPathBase", Some(("/shop/de", ""))),
            ("/shop/de/PathAndPathBase/%2F/%5C", Some(("/shop/de", "/%2F/\\"))),
            ("/shop/de/PathAndPathBase//x/../y", Some(("/shop/de", "//y"))),
            ("/", None),
            ("/shop", None),
            ("/shop/den/PathAndPathBase", None),
            ("/shop/de/../PathAndPathBase", None),
            ("/PathAndPathBase", None),
        ]);
        // The application itself answers for what it does not have.
        let answer = site.get("/shop/de/nowhere");
        assert_eq!((answer.status(), answer.text().as_str()), (404, NOT_FOUND));
        site.stop();
    }

    fn pages_that_the_host_requests_are_below_the_path_base(model: Model) {
        let pages = r#"<applicationInitialization><add initializationPage="/WarmUp/one" />
            </applicationInitialization><aspNetCore"#;
        let settings = r#"<handlerSettings><handlerSetting name="readinessPath"
            value="/ReadyAfter/1" /><handlerSetting name="readinessStatus" value="204" />
            </handlerSettings>"#;
        let app = App::test("Site").element(settings).replace("<aspNetCore", pages);
        let site = start(app, "/ü b", model);
        let requests = site.get("/%C3%BC%20b/WarmedUp").ok().text();
        assert!(requests.starts_with("/one localhost "), "{requests}");
        site.stop();
    }
}

/// What http.sys takes for a slash; backends compare for themselves.
#[test]
fn req_08_slashes_of_other_kinds_are_slashes_in_a_path_base_in_process() {
    let site = start(App::test("Site"), "/shop/de", Model::InProcess);
    ask(
        &site,
        &[
            ("//shop/de/PathAndPathBase", Some(("//shop/de", ""))),
            ("/shop//de/PathAndPathBase", Some(("/shop//de", ""))),
            ("/shop\\de/PathAndPathBase", Some(("/shop\\de", ""))),
            ("/shop%2Fde/PathAndPathBase", Some(("/shop%2Fde", ""))),
            ("/shop%5cDE/PathAndPathBase", Some(("/shop\\DE", ""))),
            ("/shop/x/..//de/PathAndPathBase", Some(("/shop//de", ""))),
            ("/shop/de%2Fwhere", None),
            ("/shop/de\\where", None),
        ],
    );
    site.stop();
}

#[test]
fn cfg_19_addresses_of_the_server_have_the_path_base_behind_them_in_process() {
    let site = start(App::test("Site"), "/bäse", Model::InProcess);
    let addresses = site.get("/b%C3%A4se/ServerAddresses").ok().text();
    assert_eq!(addresses, site.addresses().join("\n"));
    assert!(addresses.starts_with("http://127.0.0.1:") && addresses.ends_with("/bäse"));
    site.stop();
}
