//! The diagnostic port of a .NET process, as `dotnet-trace` and `dotnet-dump` talk to it.
//!
//! A message is the magic, its whole length, the number of a set of commands and of the command, two
//! reserved bytes, and the payload. Texts are counted in UTF-16 units, the final zero included.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use testkit::{Process, eventually, patience};

const MAGIC: &[u8; 14] = b"DOTNET_IPC_V1\0";
const HEADER: usize = 20;

const DUMP: (u8, u8) = (1, 1);
const STOP_TRACING: (u8, u8) = (2, 1);
const COLLECT_TRACING: (u8, u8) = (2, 3);
const OK: (u8, u8) = (0xFF, 0);

/// A connection to the port, for one command.
pub(crate) struct Diagnostics(UnixStream);

impl Diagnostics {
    /// That of a process whose temporary files are in `folder`.
    pub(crate) fn of(process: Process, folder: &Path) -> Self {
        let prefix = format!("dotnet-diagnostic-{}-", process.0);
        let socket = eventually("the diagnostic port", || {
            let mut entries = std::fs::read_dir(folder).ok()?.flatten();
            let is_it = |name: &std::ffi::OsStr| name.to_string_lossy().starts_with(&prefix);
            entries.find(|entry| is_it(&entry.file_name())).map(|entry| entry.path())
        });
        let stream = UnixStream::connect(socket).unwrap();
        stream.set_read_timeout(Some(patience())).unwrap();
        Self(stream)
    }

    /// Has the process write a dump with its heap.
    pub(crate) fn dump(mut self, into: &Path) {
        const WITH_HEAP: u32 = 2;
        let mut payload = text(&into.display().to_string());
        payload.extend(WITH_HEAP.to_le_bytes());
        payload.extend(0_u32.to_le_bytes());
        let answer = self.ask(DUMP, &payload);
        assert_eq!(answer, [0; 4], "the dump failed");
    }

    /// Begins to receive events of providers with their keywords and level.
    pub(crate) fn trace(mut self, providers: &[(&str, u64, u32)]) -> Trace {
        const BUFFER_MIB: u32 = 64;
        const NETTRACE: u32 = 1;
        const WITHOUT_RUNDOWN: u8 = 0;
        let mut payload = Vec::new();
        payload.extend(BUFFER_MIB.to_le_bytes());
        payload.extend(NETTRACE.to_le_bytes());
        payload.push(WITHOUT_RUNDOWN);
        payload.extend(u32::try_from(providers.len()).unwrap().to_le_bytes());
        for (name, keywords, level) in providers {
            payload.extend(keywords.to_le_bytes());
            payload.extend(level.to_le_bytes());
            payload.extend(text(name));
            payload.extend(text(""));
        }
        let session = self.ask(COLLECT_TRACING, &payload).try_into().expect("a number");
        let told = Arc::new(Mutex::new(Vec::new()));
        let (mut stream, into) = (self.0, told.clone());
        let reader = std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            loop {
                match stream.read(&mut buffer).unwrap() {
                    0 => return,
                    count => into
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .extend_from_slice(&buffer[..count]),
                }
            }
        });
        Trace { session, told, reader }
    }

    fn ask(&mut self, (set, command): (u8, u8), payload: &[u8]) -> Vec<u8> {
        let length = u16::try_from(HEADER + payload.len()).unwrap();
        let message = [&MAGIC[..], &length.to_le_bytes(), &[set, command, 0, 0], payload].concat();
        self.0.write_all(&message).unwrap();
        let mut header = [0; HEADER];
        self.0.read_exact(&mut header).unwrap();
        assert_eq!(&header[..MAGIC.len()], MAGIC);
        let length = usize::from(u16::from_le_bytes([header[14], header[15]]));
        let mut answer = vec![0; length - HEADER];
        self.0.read_exact(&mut answer).unwrap();
        assert_eq!((header[16], header[17]), OK, "refused: {answer:x?}");
        answer
    }
}

/// A session of events.
pub(crate) struct Trace {
    session: [u8; 8],
    told: Arc<Mutex<Vec<u8>>>,
    reader: JoinHandle<()>,
}

impl Trace {
    /// Whether a name occurs in what was received.
    pub(crate) fn has_told(&self, name: &str) -> bool {
        let name: Vec<u8> = name.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.windows(name.len()).any(|window| window == name)
    }

    /// Ends it over another connection; how many bytes came in all.
    pub(crate) fn stop(self, mut through: Diagnostics) -> usize {
        through.ask(STOP_TRACING, &self.session);
        self.reader.join().expect("the events have an end");
        self.told.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

fn text(value: &str) -> Vec<u8> {
    let units: Vec<u16> = value.encode_utf16().chain([0]).collect();
    let mut bytes = u32::try_from(units.len()).unwrap().to_le_bytes().to_vec();
    bytes.extend(units.into_iter().flat_map(u16::to_le_bytes));
    bytes
}
