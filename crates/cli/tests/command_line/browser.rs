//! `mathesis view` in a real browser: headless Chromium, driven through ChromeDriver by the WebDriver protocol. Where these
//! programs are not installed (Debian: chromium, chromium-driver) the test says so and does nothing.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::view::{Server, request, runs};

/// The name under which WebDriver hands over elements.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

struct Browser {
    driver: Child,
    port: u16,
    session: String,
    _profile: tempfile::TempDir,
}

impl Browser {
    /// `None` where there is no browser.
    fn start() -> Option<Self> {
        let driver = Command::new("chromedriver").arg("--port=0").stdout(Stdio::piped()).spawn();
        let Ok(mut driver) = driver else {
            println!("skipped: chromedriver is not installed");
            return None;
        };
        let lines = BufReader::new(driver.stdout.take().expect("piped")).lines();
        let port = lines.map_while(Result::ok).find_map(|line| {
            line.split_once("started successfully on port ")?.1.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().expect("a folder");
        let mut browser =
            Browser { driver, port: port.expect("a port"), session: String::new(), _profile: profile };
        let profile = format!("--user-data-dir={}", browser._profile.path().display());
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--window-size=1400,900",
            &profile,
        ];
        let created = browser.command(
            "POST",
            "",
            json!({"capabilities": {"alwaysMatch": {
                "browserName": "chrome",
                "goog:chromeOptions": {"args": arguments},
                "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
            }}}),
        );
        let Some(session) = created["sessionId"].as_str() else {
            println!("skipped: chromium does not start: {created}");
            return None;
        };
        browser.session = format!("/{session}");
        Some(browser)
    }

    fn command(&self, method: &str, path: &str, body: Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let host = format!("127.0.0.1:{}", self.port);
        let response = request(self.port, method, &format!("/session{}{path}", self.session), &host, &body);
        let answer: Value = serde_json::from_str(&response.body).expect("JSON");
        answer["value"].clone()
    }

    #[track_caller]
    fn run(&self, script: &str) -> Value {
        let value = self.command("POST", "/execute/sync", json!({"script": script, "args": []}));
        assert!(value["error"].is_null(), "{script}: {value}");
        value
    }

    /// Waits until an expression holds.
    #[track_caller]
    fn wait(&self, expression: &str) {
        let start = Instant::now();
        while self.run(&format!("try {{ return Boolean({expression}) }} catch {{ return false }}")) != true {
            let page = || self.run("return document.body.innerText");
            assert!(
                start.elapsed() < Duration::from_secs(60),
                "{expression} never holds on the page\n{}",
                page()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Clicks as a person does: the element must be in sight.
    #[track_caller]
    fn click(&self, selector: &str) {
        self.wait(&format!("document.querySelector({selector:?})"));
        let found = self.command("POST", "/element", json!({"using": "css selector", "value": selector}));
        let clicked = self.command(
            "POST",
            &format!("/element/{}/click", found[ELEMENT].as_str().expect("an element")),
            json!({}),
        );
        assert!(clicked.is_null(), "{selector}: {clicked}");
    }

    /// Presses keys, one after the other, wherever the focus is.
    fn keys(&self, keys: &str) {
        let presses: Vec<Value> = (keys.chars())
            .flat_map(|key| {
                [
                    json!({"type": "keyDown", "value": key.to_string()}),
                    json!({"type": "keyUp", "value": key.to_string()}),
                ]
            })
            .collect();
        let done = self.command(
            "POST",
            "/actions",
            json!({"actions": [{"type": "key", "id": "keyboard", "actions": presses}]}),
        );
        assert!(done.is_null(), "{done}");
    }

    fn window(&self, width: u32, height: u32) {
        self.command("POST", "/window/rect", json!({"width": width, "height": height}));
    }

    fn dark(&self, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let command = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.command("POST", "/goog/cdp/execute", command);
    }

    /// Keeps a picture of the page in the folder that MATHESIS_SCREENSHOTS names, to be looked at.
    fn picture(&self, name: &str) {
        let Some(folder) = std::env::var_os("MATHESIS_SCREENSHOTS") else { return };
        let picture = self.command("GET", "/screenshot", Value::Null);
        let picture = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            picture.as_str().expect("a picture"),
        );
        std::fs::create_dir_all(&folder).expect("made");
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture.expect("base64"))
            .expect("written");
    }

    fn log(&self, kind: &str) -> Vec<Value> {
        self.command("POST", "/se/log", json!({"type": kind})).as_array().cloned().unwrap_or_default()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            self.command("DELETE", "", Value::Null);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

const ESCAPE: &str = "\u{e00c}";
const ENTER: &str = "\u{e007}";

#[test]
fn a_person_looks_at_runs_items_and_two_runs() {
    let Some(browser) = Browser::start() else { return };
    let folder = runs();
    let server = Server::start(folder.path());
    let home = format!("http://127.0.0.1:{}/", server.port);
    browser.command("POST", "/url", json!({"url": home}));

    // The list: all runs, what is wrong with broken ones, and a filter.
    browser.wait("document.querySelectorAll('tr[data-run]').length === 5");
    browser.wait("document.querySelector('tr[data-run=broken] .fault').textContent.includes('broken')");
    browser.picture("runs-light");
    browser.click("#search");
    browser.keys("bar");
    browser.wait("document.querySelectorAll('tr[data-run]').length === 1");
    browser.keys("\u{e003}\u{e003}\u{e003}");
    browser.wait("document.querySelectorAll('tr[data-run]').length === 5");

    // One run by the keyboard: j to the first row, until it is the run; Enter opens it.
    browser.keys(ESCAPE);
    browser.run("document.querySelector('tr[data-run=first]').focus()");
    browser.keys(ENTER);
    browser.wait("document.querySelectorAll('tr[data-item]').length === 12");
    browser.wait("document.querySelector('tr[data-item] .chip').textContent.startsWith('refused')");
    browser.click("[data-verdict=truncated]");
    browser.wait("document.querySelectorAll('tr[data-item]').length === 1");
    browser.wait("location.hash.includes('truncated')");
    browser.click("[data-verdict=truncated]");
    browser.wait("document.querySelectorAll('tr[data-item]').length === 12");
    browser.run(
        "const s = document.getElementById('category-topic'); s.value = 'rates'; s.dispatchEvent(new Event('change'))",
    );
    browser.wait("document.querySelectorAll('tr[data-item]').length === 2");
    browser.command("POST", "/url", json!({"url": format!("{home}#/run?run=first")}));
    browser.wait("document.querySelectorAll('tr[data-item]').length === 12");
    browser.keys("/pythagoras");
    browser.wait("document.querySelectorAll('tr[data-item]').length === 1");
    browser.wait("document.getElementById('count').textContent.includes('1 found')");

    // Its transcript: typeset, the answer marked, the rule named.
    browser.click("tr[data-item]");
    browser.wait("document.querySelector('#transcript .reply math')");
    browser.wait("document.querySelector('#transcript .reply mark')");
    browser.wait("document.querySelector('#transcript').innerText.includes('announced answer')");
    browser.picture("transcript-light");
    browser.keys(ESCAPE);
    browser.wait("document.getElementById('transcript').hidden");
    browser.run("document.getElementById('search').value = ''; document.getElementById('search').dispatchEvent(new Event('input'))");
    browser.wait("document.querySelectorAll('tr[data-item]').length === 12");
    browser.click("tr[data-item]");
    browser.wait("document.querySelector('tr[aria-selected=true]')");
    let first = browser.run("return document.querySelector('#transcript h2').textContent");
    browser.keys("j");
    browser.wait(&format!("document.querySelector('#transcript h2').textContent !== {first}"));
    browser.dark(true);
    browser.picture("transcript-dark");
    browser.window(480, 900);
    browser.picture("transcript-narrow");
    browser.keys(ESCAPE);
    browser.wait("document.getElementById('transcript').hidden");
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= innerWidth"), true);
    browser.picture("run-narrow");
    browser.window(1400, 900);
    browser.picture("run-dark");
    browser.dark(false);
    browser.picture("run-light");

    // A run that cannot be opened says why.
    browser.run("location.hash = '#/run?run=garbled'");
    browser.wait("document.querySelector('[role=alert]').textContent.includes('records.jsonl:1')");

    // Two runs: chosen in the list, compared, differences item by item.
    browser.keys(ESCAPE);
    browser.run("location.hash = '#/'");
    browser.click("tr[data-run=first] input");
    browser.click("tr[data-run=second] input");
    browser.click("#compare");
    browser.wait("document.querySelector('#tests').textContent.includes('sign permutation')");
    let changed = "document.querySelectorAll('tr[data-item]').length";
    browser.wait(&format!("{changed} > 0 && {changed} < 12"));
    browser.picture("compare-light");
    browser.click("tr[data-item]");
    browser.wait("document.querySelector('[data-side=first] .chip').textContent === 'right'");
    browser.wait("document.querySelector('[data-side=second] .chip').textContent === 'no-answer'");
    browser.picture("compare-open");
    browser.keys(ESCAPE);
    browser.click("#differs");
    browser.wait("document.querySelectorAll('tr[data-item]').length === 12");
    browser.click("[data-both='right,no-answer']");
    browser.wait(&format!("{changed} > 0 && {changed} < 12"));
    browser.dark(true);
    browser.window(480, 900);
    browser.picture("compare-narrow-dark");
    assert_eq!(browser.run("return document.documentElement.scrollWidth <= innerWidth"), true);

    // A report of another kind of run, in its sandbox.
    browser.dark(false);
    browser.window(1400, 900);
    browser.run("location.hash = '#/'");
    browser.click("tr[data-run=bar] a");
    browser.wait("document.querySelector('h1') && document.querySelector('math')");

    // Nothing was asked of anybody else, and nothing went wrong.
    let asked: Vec<String> = (browser.log("performance").iter())
        .filter_map(|entry| {
            let message: Value = serde_json::from_str(entry["message"].as_str()?).ok()?;
            let sent = message["message"]["method"] == "Network.requestWillBeSent";
            sent.then(|| message["message"]["params"]["request"]["url"].as_str().map(str::to_string))?
        })
        .collect();
    assert!(asked.len() > 20, "{asked:?}");
    for url in &asked {
        // The browser's own pages come from itself.
        let is_local = [home.as_str(), "data:", "chrome:"].iter().any(|start| url.starts_with(start));
        assert!(is_local, "{url}");
    }
    let complaints: Vec<Value> = (browser.log("browser").into_iter())
        // The run that cannot be opened: the browser notes the status of the answer.
        .filter(|entry| {
            !entry["message"]
                .as_str()
                .is_some_and(|text| text.contains("run=garbled") && text.contains("422"))
        })
        .collect();
    assert!(complaints.is_empty(), "{complaints:?}");
}
