//! Certificates that clients show to a proxy in front, which tells of them in a field.

use testkit::{App, Connection, Model, Request, Site, both_models};

/// Made by `openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 36500`.
const PEM: &str = include_str!("client.pem");
const SEEN: &str = "some;Enabled;True;622CACEDBC4B6AA3F4B6BD31E99198FBC9AB1AED;\
    CN=client of a proxy, O=ancm tests";
const NONE: &str = "none;Disabled;True";

fn base64() -> String {
    PEM.lines().filter(|line| !line.starts_with('-')).collect()
}

/// As nginx has it in `$ssl_client_escaped_cert`.
fn escaped() -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'A'..=b'Z' | b'a'..=b'z' | b'-' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    PEM.bytes().map(escape).collect()
}

/// Behind proxies at these addresses.
fn behind(proxies: &str, model: Model) -> Site {
    let app = App::test("Site")
        .handler_setting("trustedProxies", proxies)
        .handler_setting("clientCertificateField", "Client-Cert");
    Site::start(app, model)
}

/// What the application makes of a request with these lines.
fn seen(connection: &mut Connection, fields: &[(&str, &str)]) -> String {
    let request = Request::get("/ClientCertificate");
    let request = fields.iter().fold(request, |request, (name, value)| request.header(name, value));
    connection.request(&request).ok().text()
}

both_models! {
    fn oop_08_without_a_certificate_there_is_none(model: Model) {
        let site = behind("127.0.0.1", model);
        let mut proxy = site.connect();
        assert_eq!(seen(&mut proxy, &[]), NONE);
        // A proxy that has none says so.
        assert_eq!(seen(&mut proxy, &[("Client-Cert", "")]), NONE);
        site.stop();
    }

    fn oop_09_v1_29_a_certificate_that_a_trusted_proxy_tells_is_the_client_s(model: Model) {
        let site = behind("10.0.0.0/8, 127.0.0.1", model);
        let mut proxy = site.connect();
        let forms = [base64(), format!(":{}:", base64()), escaped()];
        for form in &forms {
            assert_eq!(seen(&mut proxy, &[("Client-Cert", form)]), SEEN, "{form}");
            // Another client by the same connection.
            assert_eq!(seen(&mut proxy, &[]), NONE);
        }
        // Who reads the field itself, as an application behind any other server would, finds it.
        let request = Request::get("/Headers").header("Client-Cert", &forms[1]);
        assert!(proxy.request(&request).ok().text().contains(&forms[1]));
        site.stop();
    }

    fn who_is_not_trusted_has_no_certificate(model: Model) {
        let site = behind("192.0.2.0/24, unix", model);
        let mut client = site.connect();
        let claimed = base64();
        let names = ["Client-Cert", "client-cert", "Client_Cert", "Client-Cert-Chain"];
        for name in names {
            assert_eq!(seen(&mut client, &[(name, &claimed)]), NONE, "{name}");
            let request = Request::get("/Headers").header(name, &claimed);
            let left = client.request(&request).ok().text();
            assert!(!left.contains(&claimed), "{name}: {left}");
        }
        for name in ["MS-ASPNETCORE-CLIENTCERT", "MS_ASPNETCORE_CLIENTCERT", "X-ARR-ClientCert"] {
            assert_eq!(seen(&mut client, &[(name, &claimed)]), NONE, "{name}");
        }
        site.wait_for_log("warning 1137: clientCertificateField dropped 1 time(s): its sender is not");
        site.stop();
    }

    fn what_is_no_certificate_is_dropped_and_said(model: Model) {
        let site = behind("127.0.0.1", model);
        let mut proxy = site.connect();
        let good = base64();
        assert_eq!(seen(&mut proxy, &[("Client-Cert", &good), ("Client-Cert", &good)]), NONE);
        site.wait_for_log(
            "warning 1137: clientCertificateField dropped 1 time(s): it came more than once",
        );
        let wrong = [
            "(null)".to_owned(),
            "bm90IGEgY2VydGlmaWNhdGU=".to_owned(),
            format!(":{good}"),
            format!("{good}, {good}"),
            good[4..].to_owned(),
            good[..good.len() - 4].to_owned(),
            good.replace('+', "-"),
            escaped().replace("%0A", "%0"),
            format!("{}{}", escaped(), escaped()),
            escaped().replace("CERTIFICATE", "PRIVATE%20KEY"),
            // A certificate on the outside, and too long.
            format!("MIJAADCCP/I{}", "A".repeat(21_841)),
        ];
        for value in &wrong {
            let request = Request::get("/Headers").header("Client-Cert", value);
            let left = proxy.request(&request).ok().text();
            assert!(!left.to_ascii_lowercase().contains("client-cert"), "{value}: {left}");
            assert_eq!(seen(&mut proxy, &[("Client-Cert", value)]), NONE, "{value}");
        }
        // What the runtime cannot read is for the application as if the client had none.
        let unreadable = "MAkwAXgwAXgDAXg=";
        assert_eq!(seen(&mut proxy, &[("Client-Cert", unreadable)]), "some;Disabled;True");
        assert_eq!(seen(&mut proxy, &[("Client-Cert", &good)]), SEEN);
        site.stop();
    }

    fn a_field_that_nobody_has_named_is_one_as_any_other(model: Model) {
        let site = Site::start(App::test("Site"), model);
        let mut client = site.connect();
        let claimed = base64();
        assert_eq!(seen(&mut client, &[("Client-Cert", &claimed)]), NONE);
        let request = Request::get("/Headers").header("Client-Cert", &claimed);
        assert!(client.request(&request).ok().text().contains(&claimed));
        site.stop();
    }
}
