//! Holds a conversation with every server and compares.

use std::{collections::BTreeSet, thread};

use testkit::{App, Model};

use crate::{
    client::{Client, Entry},
    differences::{DIFFERENCES, Difference},
    server::{Place, Server},
};

const REFERENCE: Place = Place::Kestrel;
/// Whether a backend ends its connection says nothing to the client of the proxy (RFC 9110 7.6.1).
const PROXY: Place = Place::Ancm(Model::OutOfProcess);
const COMPARED: [Place; 2] = [Place::Ancm(Model::InProcess), Place::Ancm(Model::OutOfProcess)];

/// Holds the conversation with the application on all servers.
///
/// # Panics
///
/// Something differs that the table does not allow, or no longer differs though it does.
pub(crate) fn compare(topic: &str, app: &str, talk: fn(&mut Client)) {
    let folder = App::test(app);
    let transcripts: Vec<Vec<Entry>> = thread::scope(|scope| {
        let [kestrel, in_process, out_of_process] =
            [REFERENCE, COMPARED[0], COMPARED[1]].map(|place| {
                let folder = &folder;
                scope.spawn(move || hold(place, folder, app, talk))
            });
        [kestrel, in_process, out_of_process]
            .map(|held| held.join().expect("the conversation came to its end"))
            .into()
    });

    let mut wrong = Vec::new();
    for (place, transcript) in COMPARED.iter().zip(&transcripts[1..]) {
        let found = differences(&transcripts[0], transcript, *place);
        let allowed: Vec<&Difference> = DIFFERENCES
            .iter()
            .filter(|known| known.topic == topic && known.place == *place)
            .collect();
        for (asked, aspect, expected, got) in &found {
            let is_allowed =
                allowed.iter().any(|known| known.asked == *asked && known.aspect == *aspect);
            if !is_allowed {
                wrong.push(format!(
                    "{place}: {asked}: {aspect}\n    kestrel: {expected:?}\n    here:    {got:?}"
                ));
            }
        }
        for known in allowed {
            let exists = found
                .iter()
                .any(|(asked, aspect, ..)| known.asked == *asked && known.aspect == *aspect);
            if !exists {
                wrong.push(format!(
                    "{place}: {}: {} is the same as on Kestrel by now; strike it from the table",
                    known.asked, known.aspect
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

fn hold(place: Place, folder: &App, app: &str, talk: fn(&mut Client)) -> Vec<Entry> {
    let server = Server::start(place, folder, app);
    let mut client = Client::new(server.address());
    talk(&mut client);
    let entries = client.into_entries();
    server.stop();
    entries
}

type Found<'a> = (&'a str, &'a str, &'a str, &'a str);

fn differences<'a>(expected: &'a [Entry], got: &'a [Entry], place: Place) -> Vec<Found<'a>> {
    const ABSENT: &str = "(absent)";
    assert_eq!(expected.len(), got.len(), "the conversation took another course");
    let mut found = Vec::new();
    for (expected, got) in expected.iter().zip(got) {
        let names: BTreeSet<&String> = expected.aspects.keys().chain(got.aspects.keys()).collect();
        for name in names {
            let value = |entry: &'a Entry| entry.aspects.get(name).map_or(ABSENT, String::as_str);
            let is_same = match (place, name.as_str()) {
                (PROXY, "header connection") => true,
                (PROXY, "names") => {
                    without_connection(value(expected)) == without_connection(value(got))
                }
                _ => value(expected) == value(got),
            };
            if !is_same {
                found.push((expected.asked.as_str(), name.as_str(), value(expected), value(got)));
            }
        }
    }
    found
}

fn without_connection(names: &str) -> Vec<&str> {
    names.split(", ").filter(|name| *name != "Connection").collect()
}
