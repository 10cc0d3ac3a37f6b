use std::io::BufRead;
use std::io::BufReader;

use os::poll::poll;

use super::super::{Asked, Variables, call, supervisors_of};
use super::*;

/// A desk in a folder of its own, and a client's view of it.
struct Scene {
    desk: Desk,
    _dir: tempfile::TempDir,
    place: Place,
    now: Duration,
}

impl Scene {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let variables =
            Variables { xdg_runtime_dir: Some(dir.path().display().to_string()), ..<_>::default() };
        let place = Place::of_user(variables).unwrap();
        let desk = Desk::open(&place, dir.path()).unwrap();
        Self { desk, place, _dir: dir, now: Duration::ZERO }
    }

    fn connect(&mut self) -> UnixStream {
        let stream = UnixStream::connect(self.desk.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        self.turn();
        stream
    }

    /// Does what is ready now; what was asked.
    fn turn(&mut self) -> Vec<(ClientId, Command)> {
        let mut asked = Vec::new();
        let watched = self.desk.watched();
        let fds: Vec<_> = watched.iter().map(|(_, fd, interest)| (*fd, *interest)).collect();
        let ready = poll(&fds, Some(Duration::ZERO)).unwrap();
        let sources: Vec<_> = watched.iter().map(|(source, ..)| *source).collect();
        for (source, ready) in sources.into_iter().zip(ready).filter(|(_, ready)| ready.any()) {
            asked.extend(self.desk.on_ready(source, ready, self.now));
        }
        self.desk.on_time(self.now);
        asked
    }

    fn done(&mut self, client: ClientId) {
        let answer = Answer::Done { text: "done".to_owned(), generation: None };
        self.desk.finish(client, &answer, self.now);
    }
}

fn line(stream: &UnixStream) -> String {
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

const STATUS: &[u8] = b"{\"version\":1,\"command\":\"status\"}\n";

#[test]
fn a_request_is_taken_in_pieces_and_answered() {
    let mut scene = Scene::new();
    let mut client = scene.connect();
    client.write_all(&STATUS[..9]).unwrap();
    assert_eq!(scene.turn(), []);
    client.write_all(&STATUS[9..]).unwrap();
    let asked = scene.turn();
    assert!(matches!(asked[..], [(_, Command::Status)]), "{asked:?}");
    scene.done(asked[0].0);
    assert_eq!(line(&client), "{\"answer\":\"done\",\"text\":\"done\"}\n");
    assert!(scene.desk.clients.is_empty());
}

#[test]
fn a_command_finds_the_desk_and_speaks_its_language() {
    let mut scene = Scene::new();
    let found = supervisors_of(&scene.place, scene._dir.path()).unwrap();
    assert_eq!(found, [(std::process::id(), scene.desk.path().to_owned())]);
    scene.turn();
    let mut made = call(&found[0].1, Command::Recycle { by: Asked::Deploy }).unwrap();
    let asked = loop {
        if let [asked] = &scene.turn()[..] {
            break asked.clone();
        }
    };
    assert_eq!(asked.1, Command::Recycle { by: Asked::Deploy });
    scene.desk.say(asked.0, &Answer::Refused { text: "first".to_owned() });
    scene.done(asked.0);
    assert!(matches!(made.answer().unwrap(), Some(Answer::Refused { .. })));
    assert!(matches!(made.answer().unwrap(), Some(Answer::Done { .. })));
    assert!(made.answer().unwrap().is_none());
    drop(scene.desk);
    assert!(supervisors_of(&scene.place, scene._dir.path()).unwrap().is_empty());
}

#[test]
fn nonsense_is_refused_in_words() {
    for (said, expected) in [
        (&b"GET / HTTP/1.1\r\n"[..], "one line of JSON"),
        (b"{\"version\":2,\"command\":\"status\"}\n", "version 1"),
        (b"{\"command\":\"status\"}\n", "version"),
        (b"{\"version\":1,\"command\":\"explode\"}\n", "explode"),
        (b"[[[[[[\n", "JSON"),
        (b"\n", "JSON"),
        (&vec![b'['; 64 << 10], "JSON"),
    ] {
        let mut scene = Scene::new();
        let mut client = scene.connect();
        client.write_all(said).unwrap();
        let said = String::from_utf8_lossy(&said[..said.len().min(40)]).into_owned();
        for _ in 0..3 {
            assert_eq!(scene.turn(), [], "{said}");
        }
        let answer = line(&client);
        assert!(answer.contains("refused") && answer.contains(expected), "{said}: {answer}");
        assert!(scene.desk.clients.is_empty(), "{said}");
    }
}

#[test]
fn who_is_slow_or_says_too_much_is_sent_away() {
    let mut scene = Scene::new();
    let mut silent = scene.connect();
    let mut talkative = scene.connect();
    talkative.write_all(STATUS).unwrap();
    assert_eq!(scene.turn().len(), 1);
    talkative.write_all(b"more").unwrap();
    assert_eq!(scene.turn(), []);
    assert_eq!(scene.desk.clients.len(), 1);
    assert_eq!(scene.desk.next_deadline(), Some(REQUEST_TIME));
    scene.now = REQUEST_TIME;
    assert_eq!(scene.turn(), []);
    assert!(scene.desk.clients.is_empty());
    assert_eq!(silent.read(&mut [0]).unwrap(), 0);
}

#[test]
fn who_takes_no_answers_is_sent_away() {
    let mut scene = Scene::new();
    let mut client = scene.connect();
    client.write_all(STATUS).unwrap();
    let [(id, _)] = scene.turn()[..] else { panic!("one request") };
    let answer = Answer::Refused { text: "x".repeat(64 << 10) };
    for _ in 0..100 {
        scene.desk.say(id, &answer);
    }
    assert!(!scene.desk.has(id));

    let mut client = scene.connect();
    client.write_all(STATUS).unwrap();
    let [(id, _)] = scene.turn()[..] else { panic!("one request") };
    scene.desk.finish(id, &Answer::Refused { text: "x".repeat(4 << 20) }, scene.now);
    assert!(scene.desk.has(id));
    scene.now += ANSWER_TIME;
    scene.turn();
    assert!(!scene.desk.has(id));
}

#[test]
fn a_crowd_of_silent_clients_keeps_nobody_out() {
    let mut scene = Scene::new();
    let crowd: Vec<_> = (0..100).map(|_| scene.connect()).collect();
    assert_eq!(scene.desk.clients.len(), MOST_CLIENTS);
    let mut client = scene.connect();
    client.write_all(STATUS).unwrap();
    assert_eq!(scene.turn().len(), 1);
    drop(crowd);
    scene.turn();
    assert_eq!(scene.desk.clients.len(), 1);

    let waiting: Vec<_> = (1..MOST_CLIENTS)
        .map(|_| {
            let mut client = scene.connect();
            client.write_all(STATUS).unwrap();
            assert_eq!(scene.turn().len(), 1);
            client
        })
        .collect();
    let late = scene.connect();
    assert!(line(&late).contains("too many commands"));
    assert_eq!(scene.desk.clients.len(), 1 + waiting.len());
}

#[test]
fn what_killed_supervisors_left_is_removed() {
    let scene = Scene::new();
    let folder = scene.desk.path().parent().unwrap();
    let place = folder.parent().unwrap();
    drop(UnixListener::bind(folder.join("4.sock")).unwrap());
    fs::create_dir(place.join("a0000000000000001")).unwrap();
    drop(UnixListener::bind(place.join("a0000000000000001/5.sock")).unwrap());
    let found = supervisors_of(&scene.place, scene._dir.path()).unwrap();
    assert_eq!(found.len(), 1, "dead ones are not found");
    remove_abandoned(scene.desk.path());
    assert!(!place.join("a0000000000000001").exists());
    assert!(!folder.join("4.sock").exists() && scene.desk.path().exists());
}
