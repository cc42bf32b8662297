//! A real browser: headless Chromium, driven through WebDriver, with JavaScript switched off.

use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Client, Method};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// What an element is called by in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with a profile of its own. It ends with this value.
pub struct Chromium {
    http: Client,
    session: String,
    _driver: Child,
    _profile: TempDir,
}

impl Chromium {
    /// Starts one.
    ///
    /// # Panics
    /// Where there is no `chromium` and no `chromedriver`: `tests/setup/chromium` installs them.
    pub async fn start() -> Self {
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver is not installed: run `tests/setup/chromium`");
        let mut lines = BufReader::new(driver.stdout.take().expect("its output")).lines();
        let found = tokio::time::timeout(Duration::from_secs(30), async {
            while let Ok(Some(line)) = lines.next_line().await {
                if let Some((_, port)) = line.split_once("started successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
            panic!("chromedriver ended before it listened");
        });
        let port = found.await.expect("chromedriver listens in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let profile = tempfile::tempdir().expect("a temporary directory");
        let arguments = [
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            format!("--user-data-dir={}", profile.path().display()),
        ];
        let options = json!({"args": arguments, "prefs": {"profile.managed_default_content_settings.javascript": 2}});
        let wanted = json!({"capabilities": {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}});
        let http = Client::new();
        let sessions = format!("http://127.0.0.1:{port}/session");
        let made: Value =
            http.post(&sessions).json(&wanted).send().await.expect("chromedriver answers").json().await.expect("JSON");
        let id = made["value"]["sessionId"].as_str().unwrap_or_else(|| panic!("no browser: {made}"));
        Self { http, session: format!("{sessions}/{id}"), _driver: driver, _profile: profile }
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, String> {
        let request = self.http.request(method, format!("{}{path}", self.session));
        let request = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = request.send().await.map_err(|error| error.to_string())?;
        let good = answer.status().is_success();
        let body: Value = answer.json().await.map_err(|error| error.to_string())?;
        if good { Ok(body["value"].clone()) } else { Err(body.to_string()) }
    }

    /// Opens an address.
    pub async fn open(&self, url: &str) {
        self.ask(Method::POST, "/url", Some(json!({"url": url}))).await.expect("the page opens");
    }

    /// Where it is.
    pub async fn url(&self) -> String {
        let url = self.ask(Method::GET, "/url", None).await.expect("an address");
        url.as_str().expect("text").to_owned()
    }

    async fn element(&self, selector: &str) -> Result<String, String> {
        let wanted = json!({"using": "css selector", "value": selector});
        let found = self.ask(Method::POST, "/element", Some(wanted)).await?;
        found[ELEMENT].as_str().map(str::to_owned).ok_or_else(|| found.to_string())
    }

    /// Types into a field, in place of what is there.
    pub async fn type_into(&self, selector: &str, text: &str) {
        let element = self.element(selector).await.expect("the field is there");
        self.ask(Method::POST, &format!("/element/{element}/clear"), Some(json!({}))).await.expect("it is emptied");
        let keys = json!({"text": text});
        self.ask(Method::POST, &format!("/element/{element}/value"), Some(keys)).await.expect("it takes text");
    }

    /// Presses something.
    pub async fn press(&self, selector: &str) {
        let element = self.element(selector).await.expect("it is there");
        self.ask(Method::POST, &format!("/element/{element}/click"), Some(json!({}))).await.expect("it can be pressed");
    }

    /// What is to be read on the page.
    pub async fn text(&self) -> String {
        let read = async {
            let element = self.element("body").await?;
            self.ask(Method::GET, &format!("/element/{element}/text"), None).await
        };
        // A page may be leaving while it is read.
        read.await.ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
    }

    /// A property of an element as the browser computes it: its role or its name for those who do not see it.
    pub async fn computed(&self, selector: &str, what: &str) -> String {
        let element = self.element(selector).await.expect("it is there");
        let told =
            self.ask(Method::GET, &format!("/element/{element}/computed{what}"), None).await.expect("it is known");
        told.as_str().expect("text").to_owned()
    }

    /// Waits until a page says this; fails after twenty seconds.
    pub async fn reads(&self, text: &str) {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            if self.text().await.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("{} does not say {text:?}:\n{}\n{}", self.url().await, self.text().await, crate::logs::tail());
    }
}
