//! A browser, as far as pages without scripts need one: it keeps cookies by host, sends forms back with their hidden
//! fields, and goes where it is sent, which it says.

use std::collections::HashMap;

use reqwest::header::{CONTENT_TYPE, COOKIE, HeaderMap, LOCATION, ORIGIN, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use url::{Url, form_urlencoded};

/// A page as it came.
#[derive(Debug, Clone)]
pub struct Page {
    /// Where it is.
    pub url: Url,
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The text.
    pub body: String,
}

/// The browser.
#[derive(Debug, Clone)]
pub struct Browser {
    http: Client,
    cookies: HashMap<String, HashMap<String, String>>,
}

impl Default for Browser {
    fn default() -> Self {
        let http = Client::builder().redirect(Policy::none()).build().expect("a client");
        Self { http, cookies: HashMap::new() }
    }
}

fn host(url: &Url) -> String {
    url[url::Position::BeforeHost..url::Position::AfterPort].to_owned()
}

impl Page {
    /// The value of a hidden field.
    #[must_use]
    pub fn hidden(&self, name: &str) -> Option<String> {
        let marker = format!("name=\"{name}\" value=\"");
        let rest = &self.body[self.body.find(&marker)? + marker.len()..];
        let value = &rest[..rest.find('"')?];
        Some(value.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    }

    /// Where the page leads by itself.
    #[must_use]
    pub fn refresh(&self) -> Option<Url> {
        let marker = "http-equiv=\"refresh\" content=\"0; url=";
        let rest = &self.body[self.body.find(marker)? + marker.len()..];
        rest[..rest.find('"')?].replace("&amp;", "&").parse().ok()
    }

    /// Whether this is said on it.
    #[must_use]
    pub fn says(&self, text: &str) -> bool {
        self.body.contains(text)
    }
}

impl Browser {
    /// Opens an address, and goes on to where that leads.
    pub async fn open(&mut self, url: &str) -> Page {
        let mut url: Url = url.parse().expect("a URL");
        for _ in 0..10 {
            let page = self.once(self.http.get(url.clone()), url).await;
            let location = page.headers.get(LOCATION).and_then(|to| to.to_str().ok());
            let next = location.and_then(|to| page.url.join(to).ok()).or_else(|| page.refresh());
            match next {
                Some(next) => url = next,
                None => return page,
            }
        }
        panic!("it leads on and on");
    }

    /// Opens an address and stays there.
    pub async fn look(&mut self, url: &str) -> Page {
        let url: Url = url.parse().expect("a URL");
        self.once(self.http.get(url.clone()), url).await
    }

    /// Sends the form of a page, with its hidden fields and these, and stays there.
    pub async fn submit(&mut self, page: &Page, action: &str, hidden: &[&str], typed: &[(&str, &str)]) -> Page {
        let hidden = hidden.iter().map(|name| (*name, page.hidden(name).expect("a hidden field")));
        let typed = typed.iter().map(|(name, value)| (*name, (*value).to_owned()));
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(hidden.chain(typed)).finish();
        let url = page.url.join(action).expect("a URL");
        let request = self.http.post(url.clone()).body(form);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.once(request.header(ORIGIN, page.url.origin().ascii_serialization()), url).await
    }

    /// Forgets everything.
    pub fn forget(&mut self) {
        self.cookies.clear();
    }

    async fn once(&mut self, request: RequestBuilder, url: Url) -> Page {
        let jar = self.cookies.entry(host(&url)).or_default();
        let cookies: Vec<String> = jar.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = if cookies.is_empty() { request } else { request.header(COOKIE, cookies.join("; ")) };
        let answer = request.send().await.unwrap_or_else(|error| panic!("{url}: {error:?}\n{}", crate::logs::tail()));
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        for set in headers.get_all(SET_COOKIE) {
            let pair = set.to_str().expect("text").split(';').next().expect("a pair");
            if let Some((name, value)) = pair.split_once('=') {
                jar.insert(name.to_owned(), value.to_owned());
            }
        }
        Page { url, status, headers, body: answer.text().await.expect("text") }
    }
}
