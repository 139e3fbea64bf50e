//! A connection that can be made to fail: a relay that copies bytes between a client and
//! the broker, and can hold them back or drop answers.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::thread::{self, sleep};
use std::time::Duration;

/// Bytes are copied.
const WHOLE: u8 = 0;
/// Bytes are held back, and no error is reported.
const CUT: u8 = 1;
/// Commands arrive; then the connection closes, and the answer is lost.
const LOSES_ANSWERS: u8 = 2;
/// The same, but only of connections that have sent a key since. Others go on, so that one
/// that was broken can be made again, for which the broker has to answer.
const LOSES_ANSWERS_TO_KEYS: u8 = 3;
/// The next read of outcomes that does not wait is held back, and with it all bytes.
const HOLDS_A_READ: u8 = 4;
/// A connection closes when such a read is sent.
const BREAKS_READS: u8 = 5;

/// What the keys begin with that are meant.
pub(crate) const KEY: &str = "key ";

pub(crate) struct Relay {
    pub(crate) port: u16,
    state: Arc<AtomicU8>,
    lost: Arc<AtomicBool>,
}

impl Relay {
    pub(crate) fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let this = Self {
            port: listener.local_addr().unwrap().port(),
            state: Arc::new(AtomicU8::new(WHOLE)),
            lost: Arc::default(),
        };
        let lost = Arc::clone(&this.lost);
        let state = Arc::clone(&this.state);
        // The thread ends with the test's process.
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(broker) = TcpStream::connect(("127.0.0.1", port)) else {
                    continue;
                };
                for stream in [&client, &broker] {
                    stream.set_nodelay(true).unwrap();
                }
                let copies =
                    (client.try_clone().unwrap(), broker.try_clone().unwrap());
                let (one, other) = (Arc::clone(&state), Arc::clone(&state));
                let sent_a_key = Arc::new(AtomicBool::new(false));
                let sends_a_key = Arc::clone(&sent_a_key);
                thread::spawn(move || {
                    copy(copies.0, copies.1, &one, |command| {
                        match one.load(Ordering::Acquire) {
                            LOSES_ANSWERS_TO_KEYS if has(command, KEY) => {
                                sends_a_key.store(true, Ordering::Release);
                            }
                            HOLDS_A_READ if reads_at_once(command) => {
                                one.store(CUT, Ordering::Release);
                                wait_while_cut(&one);
                            }
                            BREAKS_READS => return !reads_at_once(command),
                            _ => {}
                        }
                        true
                    });
                });
                let lost = Arc::clone(&lost);
                thread::spawn(move || {
                    copy(broker, client, &other, |_| {
                        let passes = match other.load(Ordering::Acquire) {
                            LOSES_ANSWERS => false,
                            LOSES_ANSWERS_TO_KEYS => {
                                !sent_a_key.load(Ordering::Acquire)
                            }
                            _ => true,
                        };
                        lost.fetch_or(!passes, Ordering::Release);
                        passes
                    });
                });
            }
        });
        this
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn cut(&self) {
        self.state.store(CUT, Ordering::Release);
    }

    pub(crate) fn mend(&self) {
        self.state.store(WHOLE, Ordering::Release);
    }

    pub(crate) fn lose_answers(&self) {
        self.state.store(LOSES_ANSWERS, Ordering::Release);
    }

    /// Whether an answer was lost.
    pub(crate) fn has_lost(&self) -> bool {
        self.lost.load(Ordering::Acquire)
    }

    pub(crate) fn lose_answers_to_keys(&self) {
        self.state.store(LOSES_ANSWERS_TO_KEYS, Ordering::Release);
    }

    pub(crate) fn hold_a_read(&self) {
        self.state.store(HOLDS_A_READ, Ordering::Release);
    }

    /// Whether bytes are held back.
    pub(crate) fn holds(&self) -> bool {
        self.state.load(Ordering::Acquire) == CUT
    }

    /// Lets the read go on that is held back, and none after it.
    pub(crate) fn break_reads(&self) {
        self.state.store(BREAKS_READS, Ordering::Release);
    }
}

fn has(bytes: &[u8], word: &str) -> bool {
    bytes
        .windows(word.len())
        .any(|part| part == word.as_bytes())
}

/// Whether this command reads outcomes and does not wait for any.
fn reads_at_once(command: &[u8]) -> bool {
    has(command, "XREAD\r\n") && !has(command, "BLOCK")
}

fn wait_while_cut(state: &AtomicU8) {
    while state.load(Ordering::Acquire) == CUT {
        sleep(Duration::from_millis(2));
    }
}

/// Copies bytes until either side has closed, or some of them are not to `pass`.
fn copy(
    mut from: TcpStream,
    mut to: TcpStream,
    state: &AtomicU8,
    pass: impl Fn(&[u8]) -> bool,
) {
    let mut bytes = vec![0; 1 << 16];
    loop {
        let count = match from.read(&mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        wait_while_cut(state);
        if !pass(&bytes[..count]) {
            break;
        }
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    from.shutdown(Shutdown::Both).ok();
    to.shutdown(Shutdown::Both).ok();
}
