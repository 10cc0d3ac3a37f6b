//! A backend that misbehaves on purpose, for the tests of this crate. The first argument says how:
//!
//! * `serve`: answers properly, and ends when the module's shutdown message comes.
//! * `deaf-to-messages`: answers 404 to everything that it does not know, the message included.
//! * `exit CODE`: writes to both streams and ends with that code.
//! * `never-listen`: runs and does nothing.
//! * `second-time FILE`: ends with code 1 unless FILE exists, which it creates; then like `serve`.
//! * `with-child`: like `serve`, beside a child that would outlive it.
//! * `wrapper`: lets a child of its own serve, and waits for it.
//!
//! A backend that serves answers `/pid`, `/cwd`, `/env/NAME`, `/head` (with the head of the request),
//! `/upgrade` (to a protocol that echoes), `/hints` (an interim answer first, trailers last) and
//! `/exit/CODE`; to `/rubbish` with no HTTP, to `/part` with half an answer and its end, to `/silence`
//! never. `/deaf` ends its listening, and not itself; `/deaf/FILE` until FILE exists.

#![expect(clippy::exit, clippy::print_stdout, reason = "misbehaves on purpose")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, exit};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, fs, process, thread};

const MESSAGE: &str = "MS-ASPNETCORE-EVENT: shutdown";

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let argument = |at: usize| arguments.get(at).map_or("", String::as_str);
    match argument(0) {
        "serve" => serve(true),
        "deaf-to-messages" => serve(false),
        "exit" => {
            println!("going to exit");
            eprintln!("for no good reason");
            exit(argument(1).parse().unwrap_or(1));
        }
        "never-listen" => loop {
            thread::sleep(Duration::from_secs(3600));
        },
        "second-time" if !Path::new(argument(1)).exists() => {
            fs::write(argument(1), "").expect("the file can be created");
            exit(1);
        }
        "second-time" => serve(true),
        "with-child" => {
            let child = Command::new("/bin/sleep").arg("3600").spawn().expect("sleep can be run");
            // Nobody waits for it: that is the point.
            std::mem::forget(child);
            serve(true);
        }
        "wrapper" => {
            let program = env::current_exe().expect("a program has a path");
            let mut child = Command::new(program).arg("serve").spawn().expect("it runs already");
            exit(child.wait().ok().and_then(|status| status.code()).unwrap_or(1));
        }
        other => panic!("unknown way to misbehave: {other}"),
    }
}

fn serve(heeds_messages: bool) -> ! {
    let port = env::var("ASPNETCORE_PORT").ok().and_then(|port| port.parse().ok());
    loop {
        let listener = match TcpListener::bind(("127.0.0.1", port.expect("a port is given"))) {
            Ok(listener) => listener,
            Err(error) => {
                eprintln!("cannot listen: {error}");
                exit(98);
            }
        };
        while !DEAF.load(Ordering::SeqCst) {
            if let Ok((stream, _)) = listener.accept() {
                thread::spawn(move || answer(stream, heeds_messages));
            }
        }
        drop(listener);
        CLOSED.store(true, Ordering::SeqCst);
        while DEAF.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Wanted, and done.
static DEAF: AtomicBool = AtomicBool::new(false);
static CLOSED: AtomicBool = AtomicBool::new(false);

fn answer(mut stream: TcpStream, heeds_messages: bool) {
    let mut request = Vec::new();
    let mut piece = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => request.extend_from_slice(&piece[..count]),
            // A probe that connects and says nothing.
            _ => return,
        }
    }
    let request = String::from_utf8_lossy(&request).into_owned();
    let path = request.split(' ').nth(1).unwrap_or_default();
    let token = env::var("ASPNETCORE_TOKEN").unwrap_or_default();
    let is_paired = request.contains(&format!("MS-ASPNETCORE-TOKEN: {token}\r\n"));
    let base = env::var("ASPNETCORE_APPL_PATH").unwrap_or_default();
    let message_path = format!("{}/iisintegration", base.trim_end_matches('/'));
    let respond = |stream: &mut TcpStream, status: u16, body: &str| {
        let fields = format!("Content-Length: {}\r\nConnection: close\r\n", body.len());
        let head = format!("HTTP/1.1 {status} X\r\n{fields}MS-ASPNETCORE-X: y\r\n\r\n");
        let _ = stream.write_all(format!("{head}{body}").as_bytes());
    };
    if heeds_messages && path == message_path && request.contains(MESSAGE) {
        respond(&mut stream, if is_paired { 202 } else { 400 }, "");
        exit(if is_paired { 0 } else { 97 });
    }
    if path == "/upgrade" {
        let fields = "Connection: Upgrade\r\nUpgrade: echo\r\n";
        let _ = stream.write_all(format!("HTTP/1.1 101 X\r\n{fields}\r\n").as_bytes());
        while let Ok(count @ 1..) = stream.read(&mut piece) {
            let _ = stream.write_all(&piece[..count]);
        }
    } else if path == "/hints" {
        let hints = "HTTP/1.1 103 X\r\nLink: </a>\r\nMS-ASPNETCORE-X: y\r\nKeep-Alive: 5\r\n\r\n";
        let head = "HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
        let body = "2\r\nok\r\n0\r\nX-Sum: 1\r\nMS-ASPNETCORE-X: y\r\nKeep-Alive: 5\r\n\r\n";
        let _ = stream.write_all(format!("{hints}{head}{body}").as_bytes());
    } else if let Some(file) = path.strip_prefix("/deaf") {
        DEAF.store(true, Ordering::SeqCst);
        let own = stream.local_addr().expect("it is connected");
        while !CLOSED.load(Ordering::SeqCst) {
            // Ends the wait for the next.
            let _ = TcpStream::connect(own);
        }
        respond(&mut stream, 200, "deaf");
        drop(stream);
        while file.is_empty() || !Path::new(file).exists() {
            thread::sleep(Duration::from_millis(1));
        }
        DEAF.store(false, Ordering::SeqCst);
    } else if path.starts_with("/rubbish") {
        let _ = stream.write_all(b"220 ready\r\n\r\n");
    } else if path == "/part" {
        let _ = stream.write_all(b"HTTP/1.1 200 X\r\nContent-Length: 9\r\n\r\npart");
    } else if path == "/silence" {
        while stream.read(&mut piece).is_ok_and(|count| count > 0) {}
    } else if let Some(name) = path.strip_prefix("/env/") {
        respond(&mut stream, 200, &env::var(name).unwrap_or_default());
    } else if let Some(code) = path.strip_prefix("/exit/") {
        exit(code.parse().unwrap_or(1));
    } else if path == "/pid" {
        respond(&mut stream, 200, &process::id().to_string());
    } else if path.starts_with("/head") {
        respond(&mut stream, 200, &request);
    } else if path == "/cwd" {
        let directory = env::current_dir().unwrap_or_default();
        respond(&mut stream, 200, &directory.display().to_string());
    } else {
        respond(&mut stream, 404, "");
    }
}
