//! An application that keeps to the contract of loadable handlers and answers from its own
//! threads: what the managed side does, without a runtime.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use abi::{event, progress, waiting};
use ancm_engine::http1::response::encode_head;
use ancm_engine::{Application, Exchange, Outcome, host};

use super::PATIENCE;

/// What has been told about an exchange.
#[derive(Default)]
pub(crate) struct Events {
    bits: Mutex<u32>,
    changed: Condvar,
}

impl Events {
    fn add(&self, bits: u32) {
        *self.bits.lock().unwrap() |= bits;
        self.changed.notify_all();
    }

    /// Lets other threads run for a while.
    pub(crate) fn pause(&self) {
        for _ in 0..20 {
            thread::yield_now();
        }
    }

    /// Waits for any of `wanted` and takes it.
    #[track_caller]
    fn take(&self, wanted: u32) -> u32 {
        let bits = self.bits.lock().unwrap();
        let (mut bits, _) =
            self.changed.wait_timeout_while(bits, PATIENCE, |bits| *bits & wanted == 0).unwrap();
        let got = *bits & wanted;
        assert_ne!(got, 0, "an event did not come: {wanted:#x}");
        *bits &= !got | event::ABORTED;
        got
    }
}

type Known = Mutex<HashMap<(usize, u64), Arc<Events>>>;
type Work = Box<dyn FnOnce() + Send>;

/// Runs `script` once per exchange on one of its threads.
pub(crate) struct Handler<S> {
    script: Arc<S>,
    known: Arc<Known>,
    threads: Vec<Mutex<Sender<Work>>>,
    next: AtomicUsize,
    pub(crate) began: Arc<AtomicUsize>,
    pub(crate) over: Arc<AtomicUsize>,
}

impl<S: Fn(Call) + Send + Sync + 'static> Handler<S> {
    pub(crate) fn new(threads: usize, script: S) -> Self {
        let start = |_| {
            let (sender, receiver) = mpsc::channel::<Work>();
            thread::spawn(move || {
                for work in receiver {
                    work();
                }
            });
            Mutex::new(sender)
        };
        Self {
            script: Arc::new(script),
            known: Arc::default(),
            threads: (0..threads).map(start).collect(),
            next: AtomicUsize::new(0),
            began: Arc::default(),
            over: Arc::default(),
        }
    }
}

impl<S: Fn(Call) + Send + Sync + 'static> Application for Handler<S> {
    fn dispatch(&self, exchange: &mut Exchange<'_>) -> Outcome {
        self.began.fetch_add(1, Ordering::SeqCst);
        let request = exchange.request();
        let (path, is_late) = {
            let path = String::from_utf8_lossy(request.path()).into_owned();
            let is_late = path.starts_with("/finished-first");
            (path, is_late)
        };
        let pointer = exchange.as_abi();
        // SAFETY: the exchange is live during dispatch.
        let id = unsafe { (*pointer).id };
        let events = Arc::new(Events::default());
        let key = (pointer.addr(), id);
        self.known.lock().unwrap().insert(key, events.clone());
        let call = Call { exchange: Pointer(pointer), id, events, path, committed: 0 };
        let (script, known, over) = (self.script.clone(), self.known.clone(), self.over.clone());
        let (done, wait) = mpsc::channel();
        let work = move || {
            script(call);
            known.lock().unwrap().remove(&key);
            over.fetch_add(1, Ordering::SeqCst);
            let _ = done.send(());
        };
        let turn = self.next.fetch_add(1, Ordering::Relaxed) % self.threads.len();
        self.threads[turn].lock().unwrap().send(Box::new(work)).unwrap();
        if is_late {
            let _ = wait.recv();
        }
        Outcome::Pending
    }

    fn signal(&self, exchange: *mut abi::Exchange, id: u64, events: u32) {
        if let Some(known) = self.known.lock().unwrap().get(&(exchange.addr(), id)) {
            known.add(events);
        }
    }
}

struct Pointer(*mut abi::Exchange);

// SAFETY: the contract lets a handler use an exchange from any thread, one at a time.
unsafe impl Send for Pointer {}

/// One exchange in the hands of a script.
pub(crate) struct Call {
    exchange: Pointer,
    pub(crate) id: u64,
    pub(crate) events: Arc<Events>,
    pub(crate) path: String,
    committed: u64,
}

impl Call {
    fn shared(&self) -> *mut abi::Exchange {
        self.exchange.0
    }

    /// Publishes bits of progress, and tells the lane if it asked to be told.
    pub(crate) fn publish(&self, bits: u32) {
        self.add(bits);
        self.tell();
    }

    pub(crate) fn add(&self, bits: u32) {
        // SAFETY: live until released; the field is atomic.
        unsafe { (*self.shared()).progress.fetch_or(bits, Ordering::Release) };
    }

    pub(crate) fn tell(&self) {
        // SAFETY: slots are never freed; and we tell only after having changed `signal`.
        unsafe {
            if (*self.shared()).signal.swap(1, Ordering::SeqCst) == 0 {
                host::notify(self.shared());
            }
        }
    }

    /// Fills the head in, without publishing it.
    pub(crate) fn head(&self, status: u16, length: Option<u64>, fields: &[(&str, &str)]) {
        let mut encoded = Vec::new();
        let fields = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
        encode_head(status, "", length, fields, &mut encoded);
        // SAFETY: live, unpublished and ours alone.
        unsafe {
            let target = host::grow_head(self.shared(), encoded.len() as u32);
            std::ptr::copy_nonoverlapping(encoded.as_ptr(), target, encoded.len());
            (*self.shared()).head_len = encoded.len() as u32;
        }
    }

    /// Commits body bytes, without telling.
    pub(crate) fn write(&mut self, mut bytes: &[u8]) {
        self.committed += bytes.len() as u64;
        while !bytes.is_empty() {
            // SAFETY: live and ours alone; the block is the current one.
            unsafe {
                let mut block = (*self.shared()).block;
                if (*block).committed.load(Ordering::Relaxed) == (*block).capacity {
                    block = host::grow(self.shared(), 1);
                }
                bytes = fill(block, bytes);
            }
        }
    }

    /// Commits body bytes in a block of their own.
    pub(crate) fn write_in_new_block(&mut self, bytes: &[u8]) {
        self.committed += bytes.len() as u64;
        // SAFETY: live and ours alone.
        let rest = unsafe { fill(host::grow(self.shared(), bytes.len() as u32), bytes) };
        assert!(rest.is_empty(), "a block is as large as asked for");
    }

    pub(crate) fn unsent(&self) -> u64 {
        // SAFETY: live; the field is atomic.
        self.committed - unsafe { (*self.shared()).sent.load(Ordering::SeqCst) }
    }

    /// Waits until little is unsent. `false`: the client is gone.
    #[track_caller]
    pub(crate) fn wait_for_space(&self) -> bool {
        loop {
            // SAFETY: live; the field is atomic.
            unsafe { (*self.shared()).waiting.fetch_or(waiting::SPACE, Ordering::SeqCst) };
            if self.unsent() <= 32 * 1024 {
                return !self.is_aborted();
            }
            if self.events.take(event::WRITABLE | event::ABORTED) & event::ABORTED != 0 {
                return false;
            }
        }
    }

    pub(crate) fn trailers(&self) -> Vec<String> {
        // SAFETY: the exchange is ours until released; the count is stored after the fields.
        let fields = unsafe {
            let shared = &*self.shared();
            let count = shared.trailer_count.load(Ordering::Acquire) as usize;
            match count {
                0 => &[],
                _ => std::slice::from_raw_parts(shared.trailers.load(Ordering::Relaxed), count),
            }
        };
        let text = |text: &abi::Str| {
            // SAFETY: texts of an exchange live as long as it does.
            let bytes = unsafe { std::slice::from_raw_parts(text.ptr, text.len) };
            String::from_utf8_lossy(bytes).into_owned()
        };
        fields.iter().map(|field| format!("{}={}", text(&field.name), text(&field.value))).collect()
    }

    pub(crate) fn is_aborted(&self) -> bool {
        // SAFETY: live; the field is atomic.
        unsafe { (*self.shared()).happened.load(Ordering::SeqCst) & event::ABORTED != 0 }
    }

    #[track_caller]
    pub(crate) fn wait_for_abort(&self) {
        if !self.is_aborted() {
            self.events.take(event::ABORTED);
        }
    }

    /// What of the body came with the head.
    pub(crate) fn first_body(&self) -> Vec<u8> {
        // SAFETY: the request part is readable until released.
        unsafe {
            let body = &(*self.shared()).body;
            if body.len == 0 {
                return Vec::new();
            }
            std::slice::from_raw_parts(body.ptr, body.len).to_vec()
        }
    }

    /// One read that does not wait.
    pub(crate) fn try_read(&self, into: &mut [u8]) -> i64 {
        // SAFETY: live, `into` is writable, and we are the one reader.
        unsafe { host::read(self.shared(), self.id, into.as_mut_ptr(), into.len() as u32) }
    }

    /// Reads, waiting for bytes or an end.
    #[track_caller]
    pub(crate) fn read(&self, into: &mut [u8]) -> i64 {
        loop {
            let count = self.try_read(into);
            if count != abi::read::WOULD_BLOCK {
                return count;
            }
            self.events.take(event::READABLE);
        }
    }

    /// The whole body, and the word it ended with.
    #[track_caller]
    pub(crate) fn read_all(&self, piece: usize) -> (Vec<u8>, i64) {
        let mut body = self.first_body();
        let mut into = vec![0; piece];
        loop {
            let count = self.read(&mut into);
            if count <= 0 {
                return (body, count);
            }
            body.extend_from_slice(&into[..count as usize]);
        }
    }

    /// The whole answer at once.
    pub(crate) fn answer(mut self, status: u16, body: &[u8]) {
        self.head(status, None, &[]);
        self.write(body);
        self.publish(progress::HEAD | progress::ENDED | progress::RELEASED);
    }

    pub(crate) fn flush(&self) {
        self.publish(progress::HEAD);
    }

    pub(crate) fn finish(self) {
        self.publish(progress::HEAD | progress::ENDED | progress::RELEASED);
    }
}

/// # Safety
/// `block` must be the current one of an exchange that is ours alone.
unsafe fn fill(block: *mut abi::Block, bytes: &[u8]) -> &[u8] {
    // SAFETY: bytes beyond `committed` are ours until we commit them.
    unsafe {
        let used = (*block).committed.load(Ordering::Relaxed);
        let count = bytes.len().min(((*block).capacity - used) as usize);
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), (*block).data.add(used as usize), count);
        (*block).committed.store(used + count as u32, Ordering::Release);
        &bytes[count..]
    }
}
