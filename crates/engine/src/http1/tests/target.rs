use super::super::target::{Target, split};

fn verdict(target: &[u8], base: &str) -> String {
    let mut scratch = b"left over".to_vec();
    match split(target, base.as_bytes(), &mut scratch) {
        Ok(Target { path_base, path, query }) => {
            let path = std::str::from_utf8(path).expect("paths are UTF-8");
            let base = String::from_utf8_lossy(path_base);
            format!("{base}|{path}|{}", String::from_utf8_lossy(query))
        }
        Err(reject) => format!("{} {:?}", reject.status, reject.cause),
    }
}

#[test]
fn paths_and_queries() {
    super::table(
        &[
            (b"/", "|/|"),
            (b"/a/b", "|/a/b|"),
            (b"/a?", "|/a|?"),
            (b"/a?b=%41&c=/../d?e", "|/a|?b=%41&c=/../d?e"),
            (b"//a//b/", "|//a//b/|"),
            (b"*", "||"),
            (b"http://h/a?b", "|/a|?b"),
            (b"HTTPS://h", "|/|"),
            (b"http://h?b", "|/|?b"),
            (b"a", "400 TargetForm"),
            (b"", "400 TargetForm"),
            (b"ftp://h/", "400 TargetForm"),
            // Escapes.
            (b"/%41%7a%20", "|/Az |"),
            (b"/a%2Fb%2fc", "|/a%2Fb%2fc|"),
            (b"/%2541", "|/%41|"),
            (b"/%252F", "|/%2F|"),
            (b"/%3F%23?x", "|/?#|?x"),
            (b"/%5c%5C", "|/\\\\|"),
            (b"/%", "|/%|"),
            (b"/%4", "|/%4|"),
            (b"/%4g%zz", "|/%4g%zz|"),
            (b"/%%41", "|/%A|"),
            (b"/%C3%A4", "|/\u{e4}|"),
            (b"/%e2%82%ac", "|/\u{20ac}|"),
            (b"/%F0%9F%98%80", "|/\u{1f600}|"),
            (b"/\xc3\xa4%41", "|/\u{e4}A|"),
            (b"/%C3", "|/%C3|"),
            (b"/%C3x", "|/%C3x|"),
            (b"/%C3%41", "|/%C3A|"),
            (b"/%C0%AF", "|/%C0%AF|"),
            (b"/%E0%80%AF", "|/%E0%80%AF|"),
            (b"/%ED%A0%80", "|/%ED%A0%80|"),
            (b"/%F4%90%80%80", "|/%F4%90%80%80|"),
            (b"/%FF", "|/%FF|"),
            (b"/%C3\xc3\xa4", "|/%C3\u{e4}|"),
            (b"/%00", "400 TargetControl"),
            (b"/%0d%0aX", "400 TargetControl"),
            (b"/%1f", "400 TargetControl"),
            (b"/%7F", "400 TargetControl"),
            (b"/\x01", "400 TargetByte"),
            (b"/\x7f", "400 TargetByte"),
            (b"/a b", "400 TargetByte"),
            (b"/a?\x00", "400 TargetByte"),
            (b"/a?b c", "400 TargetByte"),
            (b"/a#b", "400 TargetByte"),
            (b"/a?b#c", "400 TargetByte"),
            (b"/\xff", "400 TargetByte"),
            (b"/a?\xc3", "400 TargetByte"),
            // Dot segments.
            (b"/.", "|/|"),
            (b"/..", "|/|"),
            (b"/./", "|/|"),
            (b"/../a", "|/a|"),
            (b"/../../a", "|/a|"),
            (b"/a/.", "|/a/|"),
            (b"/a/..", "|/|"),
            (b"/a/b/../c", "|/a/c|"),
            (b"/a/b/../../c", "|/c|"),
            (b"/a/b/../../../c", "|/c|"),
            (b"/a//../b", "|/a/b|"),
            (b"/a/./b/.", "|/a/b/|"),
            (b"/%2e%2E/a", "|/a|"),
            (b"/a/.%2e/b", "|/b|"),
            (b"/a/%2e/b", "|/a/b|"),
            (b"/a/%252e%252e/b", "|/a/%2e%2e/b|"),
            (b"/a/..%2fb", "|/a/..%2fb|"),
            (b"/.a/..b/c./...", "|/.a/..b/c./...|"),
            (b"/a/..?/../b", "|/|?/../b"),
            (b"http://h/a/../b", "|/b|"),
        ],
        |target| verdict(target, ""),
    );
}

#[test]
fn path_base() {
    super::table(
        &[
            (b"/app", "/app||"),
            (b"/app/", "/app|/|"),
            (b"/APP/x?y", "/APP|/x|?y"),
            (b"/app?y", "/app||?y"),
            (b"/app//x", "/app|//x|"),
            (b"/apple", "404 ElsewherePath"),
            (b"/ap", "404 ElsewherePath"),
            (b"/", "404 ElsewherePath"),
            (b"/x/app", "404 ElsewherePath"),
            (b"/%61pp/x", "/app|/x|"),
            (b"/app/../x", "404 ElsewherePath"),
            (b"/x/../App/y", "/App|/y|"),
            (b"//app/x", "//app|/x|"),
            (b"/app%2Fx", "404 ElsewherePath"),
            (b"/app\\x", "404 ElsewherePath"),
            (b"*", "||"),
        ],
        |target| verdict(target, "/app"),
    );
    super::table(
        &[
            (b"/a/b/c", "/a/b|/c|"),
            (b"/a//b/c", "/a//b|/c|"),
            (b"/a\\B/c", "/a\\B|/c|"),
            (b"/a%2fb", "/a%2fb||"),
            (b"/a", "404 ElsewherePath"),
            (b"/a/", "404 ElsewherePath"),
        ],
        |target| verdict(target, "/a/b"),
    );
    assert_eq!(verdict(b"/app/x", "/app/"), "/app|/x|");
    assert_eq!(verdict(b"/x", "/"), "|/x|");
}

#[test]
fn a_plain_target_is_not_copied() {
    let target = b"/app/some/path?query";
    let mut scratch = Vec::new();
    let split = split(target, b"/app", &mut scratch).unwrap();
    assert_eq!(split.path.as_ptr(), target[4..].as_ptr());
    assert_eq!(split.query.as_ptr(), target[14..].as_ptr());
    assert_eq!(scratch.capacity(), 0);
}
