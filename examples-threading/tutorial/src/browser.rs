//! Pages in a real browser, for their tests: Chromium without a window, driven by its
//! `DevTools` protocol over two named pipes.
//!
//! A test program that looks at pages has no harness of its own but [`run`]:
//!
//! ```no_run
//! use tutorial::browser::{self, Browser};
//!
//! fn it_has_a_title() {
//!     let mut browser = Browser::open("file:///tmp/page.html", 390, false);
//!     assert_eq!(browser.evaluate("document.title"), "A page");
//!     assert!(browser.console.is_empty(), "{:?}", browser.console);
//! }
//!
//! browser::run([("it_has_a_title", it_has_a_title)], || ());
//! ```
//!
//! See <https://chromedevtools.github.io/devtools-protocol/>.

use std::env;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::{Value, json};

/// Far beyond what any answer takes, so that only a hang meets it.
const DEADLINE: Duration = Duration::from_mins(1);

/// The names that the browser goes by.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// The browser's program, if there is one here.
fn program() -> Option<&'static str> {
    NAMES.into_iter().find(|name| {
        let mut version = Command::new(name);
        version
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        version.status().is_ok_and(|end| end.success())
    })
}

/// Runs the tests of this program as the command line asks, and ends it. Without a
/// browser they are printed as ignored. `clean` removes what they left; it is called
/// if any of them ran.
pub fn run<const N: usize>(tests: [(&str, fn()); N], clean: impl FnOnce()) -> ! {
    let ignored = program().is_none();
    if ignored {
        eprintln!("NO chromium HERE: the pages were not looked at.");
    }
    let tests = tests.map(|(name, test)| {
        let run = move || {
            test();
            Ok::<(), Failed>(())
        };
        Trial::test(name, run).with_ignored_flag(ignored)
    });
    let mut arguments = Arguments::from_args();
    // Each has a browser of its own, and a browser takes several cores.
    arguments.test_threads.get_or_insert(2);
    let end = libtest_mimic::run(&arguments, tests.into());
    if end.num_passed + end.num_failed > 0 {
        clean();
    }
    end.exit()
}

/// Where pictures of the pages are to be kept, if they are: the folder that
/// `SCREENSHOTS` names, and in it this name, the width and the colour scheme.
#[must_use]
pub fn screenshot(name: &str, width: u32, dark: bool) -> Option<PathBuf> {
    let scheme = if dark { "dark" } else { "light" };
    let folder = PathBuf::from(env::var_os("SCREENSHOTS")?);
    Some(folder.join(format!("{name}-{width}-{scheme}.png")))
}

/// A browser with one page.
pub struct Browser {
    child: Child,
    commands: File,
    messages: Receiver<Value>,
    session: String,
    next: u64,
    /// What the page wrote to its console, and its uncaught errors.
    pub console: Vec<String>,
    folder: PathBuf,
}

impl Browser {
    /// Starts it with a page of this width, 800 high.
    ///
    /// # Panics
    ///
    /// If there is no browser, or it does not answer: a test cannot go on then.
    #[must_use]
    pub fn open(url: &str, width: u32, dark: bool) -> Self {
        // Chromium sometimes ends as soon as it is started, above all beside others.
        for _ in 0..5 {
            let mut browser = Self::launch();
            if browser.answers() {
                browser.start(url, width, dark);
                return browser;
            }
        }
        panic!("the browser ended as soon as it was started, five times");
    }

    fn launch() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("tutorial-browser-{}-{count}", std::process::id());
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        let [input, output] = ["input", "output"].map(|name| folder.join(name));
        let mut pipes = Command::new("mkfifo");
        assert!(pipes.args([&input, &output]).status().unwrap().success());
        let script = r#"exec "$0" "$@" 3<"$INPUT" 4>"$OUTPUT""#;
        let child = Command::new("sh")
            .args(["-c", script, program().unwrap()])
            .args(["--headless", "--no-sandbox", "--disable-gpu"])
            .args([
                "--disable-dev-shm-usage",
                "--no-first-run",
                "--hide-scrollbars",
            ])
            .arg("--remote-debugging-pipe")
            .arg(format!(
                "--user-data-dir={}",
                folder.join("profile").display()
            ))
            .env("INPUT", &input)
            .env("OUTPUT", &output)
            .env("HOME", &folder)
            // It leaves a socket there if it is killed.
            .env("TMPDIR", &folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // In the order in which the shell opens them: each waits for the other end.
        let commands = OpenOptions::new().write(true).open(input).unwrap();
        let output = File::open(output).unwrap();
        let (sender, messages) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(output).split(0) {
                let Ok(message) = message else { break };
                let message = serde_json::from_slice(&message).unwrap();
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        Self {
            child,
            commands,
            messages,
            session: String::new(),
            next: 0,
            console: Vec::new(),
            folder,
        }
    }

    /// Whether it answers a first question, as a browser does that has not ended.
    fn answers(&mut self) -> bool {
        let question = b"{\"id\": 0, \"method\": \"Browser.getVersion\"}\0";
        self.commands.write_all(question).is_ok()
            && self.messages.recv_timeout(DEADLINE).is_ok()
    }

    fn start(&mut self, url: &str, width: u32, dark: bool) {
        let page =
            self.call("Target.createTarget", &json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": page["targetId"], "flatten": true });
        let session = self.call("Target.attachToTarget", &attach);
        self.session = session["sessionId"].as_str().unwrap().to_string();
        for domain in ["Page", "Runtime", "Log"] {
            self.call(&format!("{domain}.enable"), &json!({}));
        }
        self.call(
            "Emulation.setDeviceMetricsOverride",
            &json!({
                "width": width, "height": 800, "deviceScaleFactor": 1,
                "mobile": width < 600,
            }),
        );
        let scheme = if dark { "dark" } else { "light" };
        let feature = json!({ "name": "prefers-color-scheme", "value": scheme });
        let media = json!({ "features": [feature] });
        self.call("Emulation.setEmulatedMedia", &media);
        self.call("Page.navigate", &json!({ "url": url }));
        // The new document may still be on its way.
        let ready = "new Promise(done => { const look = () => \
            location.href !== 'about:blank' && document.readyState === 'complete' \
            ? done(true) : setTimeout(look, 20); look(); })";
        let start = Instant::now();
        while self.try_evaluate(ready) != Some(json!(true)) {
            assert!(start.elapsed() < DEADLINE, "{url} is never complete");
        }
    }

    /// Calls a method and waits for its result.
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        let answer = self.try_call(method, parameters);
        answer.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    fn try_call(
        &mut self,
        method: &str,
        parameters: &Value,
    ) -> Result<Value, Value> {
        self.next += 1;
        let id = self.next;
        let mut message =
            json!({ "id": id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.commands.write_all(&bytes).unwrap();
        // Not for each message: a page may report something for ever.
        let give_up = Instant::now() + DEADLINE;
        loop {
            let mut message = self
                .messages
                .recv_timeout(give_up.saturating_duration_since(Instant::now()))
                .unwrap_or_else(|_| panic!("the browser does not answer {method}"));
            if message["id"] == id {
                if message.get("error").is_some() {
                    return Err(message["error"].take());
                }
                return Ok(message["result"].take());
            }
            let event = message["method"].as_str().unwrap_or_default();
            let told = ["consoleAPICalled", "exceptionThrown", "entryAdded"];
            if told.iter().any(|name| event.ends_with(name)) {
                self.console.push(message["params"].to_string());
            }
        }
    }

    fn try_evaluate(&mut self, script: &str) -> Option<Value> {
        let parameters = json!({
            "expression": script, "awaitPromise": true, "returnByValue": true,
        });
        let mut result = self.try_call("Runtime.evaluate", &parameters).ok()?;
        if let Some(error) = result.get("exceptionDetails") {
            panic!("{script}: {error}");
        }
        Some(result["result"]["value"].take())
    }

    /// The value of an expression in the page.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let value = self.try_evaluate(script);
        value.unwrap_or_else(|| panic!("{script} has no value"))
    }

    /// Presses and releases keys, as a person types them.
    pub fn press(&mut self, keys: &str) {
        for key in keys.chars() {
            let key = key.to_string();
            for (kind, text) in [("keyDown", json!(key)), ("keyUp", Value::Null)] {
                let mut event = json!({ "type": kind, "key": key });
                if text != Value::Null {
                    event["text"] = text;
                }
                self.call("Input.dispatchKeyEvent", &event);
            }
        }
    }

    /// Writes a picture of what is seen.
    pub fn screenshot(&mut self, path: &Path) {
        self.capture(path, &json!({}));
    }

    /// Writes a picture of the whole page, also of what is below the window.
    pub fn screenshot_whole(&mut self, path: &Path) {
        let height = "document.documentElement.scrollHeight";
        let (width, height) = (self.evaluate("innerWidth"), self.evaluate(height));
        let clip = json!({
            "x": 0, "y": 0, "width": width, "height": height, "scale": 1,
        });
        self.capture(
            path,
            &json!({ "captureBeyondViewport": true, "clip": clip }),
        );
    }

    fn capture(&mut self, path: &Path, parameters: &Value) {
        let picture = self.call("Page.captureScreenshot", parameters);
        let picture = base64(picture["data"].as_str().unwrap());
        fs::write(path, picture).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Its helpers end with it. Where it is gone already, there is nothing to end.
        self.child.kill().ok();
        self.child.wait().ok();
        for _ in 0..100 {
            // A helper that is about to end may still write to the profile.
            if fs::remove_dir_all(&self.folder).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(50));
        }
    }
}

/// The bytes of a text in base64, see <https://www.rfc-editor.org/rfc/rfc4648>.
fn base64(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0);
    for c in text.bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => break,
        };
        bits = (bits << 6) | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    bytes
}
