//! Lists: in pages, in one answer that is read as it comes, or in one that is short.

use std::{collections::VecDeque, time::Duration};

use futures_util::{Stream, stream};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Cloud, CloudError,
    auth::Subject,
    elements::Elements,
    http::{Answer, Call, Kind, Opened},
};
use crate::model::Deadline;

/// How long each answer of a list may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);
/// Records to a page. The most that the cloud allows is not published; one that gives fewer says by the
/// number of its pages how many there are.
const PER_PAGE: &str = "100";

/// A record, and the JSON text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed<T> {
    /// What is understood of it.
    pub record: T,
    /// All that the cloud said, as it said it: from outside, and not redacted.
    pub json: String,
}

/// What a list is of: how it is found in an answer, and how each record is read.
pub(super) struct Kindred<Wire, T> {
    /// With its article: "a device".
    pub what: &'static str,
    /// The names that the list goes by.
    pub fields: &'static [&'static str],
    pub parse: fn(Wire) -> Option<T>,
}

impl<Wire, T> Clone for Kindred<Wire, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Wire, T> Copy for Kindred<Wire, T> {}

impl<Wire: DeserializeOwned, T> Kindred<Wire, T> {
    /// The records of one answer.
    pub(super) fn of(self, answer: &Answer) -> Result<Vec<Listed<T>>, CloudError> {
        let read =
            |json| self.read(json).ok_or_else(|| answer.is_not(&format!("a list, each {}", self.what)));
        answer.elements(self.fields)?.into_iter().map(read).collect()
    }

    fn read(self, json: String) -> Option<Listed<T>> {
        let record = serde_json::from_str(&json).ok().and_then(self.parse)?;
        Some(Listed { record, json })
    }
}

#[derive(Deserialize)]
struct Paged {
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Meta {
    #[serde(default, deserialize_with = "super::devices::number")]
    total_pages: Option<u64>,
}

/// Where a list in pages has got to.
struct Pages<T> {
    ready: VecDeque<Listed<T>>,
    /// The page to ask for next; none after the last.
    next: Option<u64>,
    /// How the last page began.
    began: Option<String>,
}

impl Cloud {
    /// A list of a product's that comes in pages (`?page=&perPage=`), each asked for when the one before
    /// is used up. Whoever joins or leaves meanwhile may be missed, or come twice.
    pub(super) fn in_pages<Wire: DeserializeOwned, T>(
        &self,
        path: Vec<String>,
        kindred: Kindred<Wire, T>,
    ) -> impl Stream<Item = Result<Listed<T>, CloudError>> + use<Wire, T> {
        let cloud = self.clone();
        let start = Pages { ready: VecDeque::new(), next: Some(1), began: None };
        stream::try_unfold(start, move |mut pages| {
            let (cloud, path) = (cloud.clone(), path.clone());
            async move {
                loop {
                    if let Some(listed) = pages.ready.pop_front() {
                        return Ok(Some((listed, pages)));
                    }
                    let Some(page) = pages.next else { return Ok(None) };
                    let path: Vec<&str> = path.iter().map(String::as_str).collect();
                    cloud.turn(page, &path, kindred, &mut pages).await?;
                }
            }
        })
    }

    async fn turn<Wire: DeserializeOwned, T>(
        &self,
        page: u64,
        path: &[&str],
        kindred: Kindred<Wire, T>,
        pages: &mut Pages<T>,
    ) -> Result<(), CloudError> {
        let number = page.to_string();
        let query = [("page", number.as_str()), ("perPage", PER_PAGE)];
        let call = Call::get(path).asking(&query).about(Kind::OfProduct);
        let deadline = Deadline::after(PATIENCE, "a page of the list");
        let answer = self.send_as(Subject::Product, &call, deadline).await?;
        let total = Paged::deserialize(answer.json()).ok().and_then(|paged| paged.meta.total_pages);
        let records = kindred.of(&answer)?;
        let began = records.first().map(|listed| listed.json.clone());
        // A server that counts no pages ends with an empty one, or knows none and repeats itself.
        let repeated = total.is_none() && began == pages.began;
        let last = match total {
            Some(total) => page >= total,
            None => records.is_empty() || repeated,
        };
        pages.next = (!last).then_some(page + 1);
        if !repeated {
            pages.ready = records.into();
        }
        pages.began = began;
        Ok(())
    }

    /// A list of the user's own that comes in one answer, which is read as it comes.
    pub(super) fn as_it_comes<Wire: DeserializeOwned, T>(
        &self,
        path: &'static [&'static str],
        kindred: Kindred<Wire, T>,
    ) -> impl Stream<Item = Result<Listed<T>, CloudError>> + use<Wire, T> {
        enum Stage {
            Before(Cloud),
            Within(Box<Opened>, Box<Elements>),
            After,
        }
        stream::try_unfold(Stage::Before(self.clone()), move |mut stage| async move {
            loop {
                stage = match stage {
                    Stage::Before(cloud) => {
                        let deadline = Deadline::after(PATIENCE, "the list");
                        let token = cloud.token(&Subject::User, deadline).await?;
                        let opened = cloud.open(&Call::get(path), &token, deadline).await?;
                        Stage::Within(opened.into(), Elements::new(kindred.fields).into())
                    }
                    Stage::Within(mut opened, mut elements) => match elements.next() {
                        Some(json) => {
                            let Some(listed) = kindred.read(json.clone()) else {
                                return Err(opened.is_not(&json, kindred.what));
                            };
                            return Ok(Some((listed, Stage::Within(opened, elements))));
                        }
                        None if opened.feed(&mut elements).await? => Stage::Within(opened, elements),
                        None => {
                            let found = elements.found();
                            let answer = opened.judge(*elements)?;
                            if !found {
                                return Err(answer.is_not("a list"));
                            }
                            Stage::After
                        }
                    },
                    Stage::After => return Ok(None),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::super::{
        Fleet,
        scripted::{Scripted, signed_in_cloud},
    };
    use crate::model::{FailureCode, ProductRef};

    const PAGE: &str = "GET /v1/products/1319/devices?page=N&perPage=100";

    fn product() -> Fleet {
        Fleet::Product(ProductRef::parse("1319").unwrap())
    }

    fn page(ids: &[u8], total: &str) -> String {
        let devices: Vec<_> = ids.iter().map(|id| format!(r#"{{"id":"{id:024x}","x":1.0}}"#)).collect();
        format!(r#"{{"customers":[],"devices":[{}],"meta":{{{total}}}}}"#, devices.join(","))
    }

    async fn listed(pages: &[String]) -> Vec<u8> {
        let server = Scripted::start().await;
        for (n, page) in pages.iter().enumerate() {
            server.expect(&PAGE.replace('N', &(n + 1).to_string()), 200, page);
        }
        let all: Vec<_> = signed_in_cloud(&server).devices(&product()).try_collect().await.unwrap();
        all.iter().map(|listed| u8::from_str_radix(&listed.record.id.as_str()[20..], 16).unwrap()).collect()
    }

    #[tokio::test]
    async fn pages_are_asked_for_until_the_last_that_the_server_counts() {
        let total = r#""total_pages":3"#;
        assert_eq!(listed(&[page(&[1, 2], total), page(&[3], total), page(&[4], total)]).await, [1, 2, 3, 4]);
        assert_eq!(listed(&[page(&[], r#""total_pages":0"#)]).await, [0; 0]);
        // The list has become shorter meanwhile.
        assert_eq!(listed(&[page(&[1], r#""total_pages":2"#), page(&[], r#""total_pages":1"#)]).await, [1]);
    }

    #[tokio::test]
    async fn a_server_that_counts_no_pages_ends_with_an_empty_one_or_repeats_itself() {
        assert_eq!(listed(&[page(&[1], ""), page(&[2], ""), page(&[], "")]).await, [1, 2]);
        assert_eq!(listed(&[page(&[1, 2], ""), page(&[1, 2], "")]).await, [1, 2]);
    }

    #[tokio::test]
    async fn what_is_no_list_of_devices_is_garbled_whichever_way_it_is_read() {
        for (body, said) in [
            (r#"{"devices":{}}"#, "not a list, but JSON with devices"),
            (r#"[{"id":"x"}]"#, "not a list, each a device, but "),
            ("<title>Log in</title>", "not JSON, but an HTML page, “Log in”"),
        ] {
            let server = Scripted::start().await;
            server.expect(&PAGE.replace('N', "1"), 200, body);
            server.expect("GET /v1/devices", 200, body);
            let cloud = signed_in_cloud(&server);
            for fleet in [product(), Fleet::Own] {
                let error = cloud.devices(&fleet).try_collect::<Vec<_>>().await.unwrap_err();
                assert_eq!(error.code, FailureCode::CloudGarbled);
                assert!(error.said.starts_with(said), "{error}");
            }
        }
    }

    #[tokio::test]
    async fn each_record_keeps_its_own_text() {
        let server = Scripted::start().await;
        let text = r#"{ "z": 1.0, "id": "3B0021001747353236343033" }"#;
        server.expect("GET /v1/devices", 200, &format!("[{text}]"));
        let all: Vec<_> = signed_in_cloud(&server).devices(&Fleet::Own).try_collect().await.unwrap();
        assert_eq!(all[0].json, text);
        assert_eq!(all[0].record.id.as_str(), "3b0021001747353236343033");
    }
}
