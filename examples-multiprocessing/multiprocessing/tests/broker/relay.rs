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
                        let mut words = command.windows(KEY.len());
                        if one.load(Ordering::Acquire) == LOSES_ANSWERS_TO_KEYS
                            && words.any(|word| word == KEY.as_bytes())
                        {
                            sends_a_key.store(true, Ordering::Release);
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
        while state.load(Ordering::Acquire) == CUT {
            sleep(Duration::from_millis(2));
        }
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
